// Fixed kernels of three sizes, and what each responds to on a small drawn image.
#include "qa.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

namespace {

constexpr int64_t kHeight = 11;
constexpr int64_t kWidth = 24;

/// A bar, a chessboard and a disc.
at::Tensor draw_image() {
  at::Tensor image = at::zeros({1, 1, kHeight, kWidth});
  auto pixels = image.accessor<float, 4>()[0][0];
  for (int64_t row = 1; row < kHeight - 1; ++row) {
    for (int64_t column = 0; column < kWidth; ++column) {
      const bool bar = column >= 2 && column < 6;
      const bool board = column >= 8 && column < 15 && (row + column) % 2 == 0;
      const int64_t from_centre = (row - 5) * (row - 5) + (column - 19) * (column - 19);
      pixels[row][column] = bar || board || from_centre <= 9 ? 1.F : 0.F;
    }
  }
  return image;
}

/// A square kernel of whole numbers from a function of (row, column), counted from the centre.
template <typename Weight>
at::Tensor make_kernel(int64_t size, Weight weight) {
  at::Tensor kernel = at::empty({1, 1, size, size});
  auto weights = kernel.accessor<float, 4>()[0][0];
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < size; ++j) {
      weights[i][j] = static_cast<float>(weight(i - size / 2, j - size / 2));
    }
  }
  return kernel;
}

/// Edges: right half minus left half.
at::Tensor edge_kernel(int64_t size) {
  return make_kernel(size, [](int64_t, int64_t x) { return (x > 0) - (x < 0); });
}

/// Textures: a chessboard of +1 and -1, its middle such that the sum is 0.
at::Tensor texture_kernel(int64_t size) {
  return make_kernel(size, [](int64_t y, int64_t x) {
    return x == 0 && y == 0 ? 0 : ((x + y) % 2 == 0 ? 1 : -1);
  });
}

/// Shapes: a disc minus its surroundings, weighted such that the sum is 0.
at::Tensor shape_kernel(int64_t size) {
  const int64_t radius = size / 2;
  const auto inside = [radius](int64_t y, int64_t x) {
    return x * x + y * y <= radius * (radius - 1);
  };
  int64_t area = 0;
  for (int64_t y = -radius; y <= radius; ++y) {
    for (int64_t x = -radius; x <= radius; ++x) area += inside(y, x) ? 1 : 0;
  }
  return make_kernel(
      size, [&](int64_t y, int64_t x) { return inside(y, x) ? size * size - area : -area; });
}

/// One line of text for each row: the larger the value, the darker the character.
std::vector<std::string> shade(const at::Tensor& picture) {
  constexpr std::array shades{' ', '.', ':', 'o', '#'};
  const at::Tensor values = picture.to(at::kLong)[0][0];
  const int64_t largest = values.max().item<int64_t>();
  std::vector<std::string> lines;
  for (int64_t row = 0; row < values.size(0); ++row) {
    std::string line;
    for (int64_t column = 0; column < values.size(1); ++column) {
      const int64_t value = values[row][column].item<int64_t>();
      line += shades[static_cast<std::size_t>((8 * value + largest) / (2 * largest))];
    }
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string> numbers(const at::Tensor& kernel, int width) {
  std::vector<std::string> lines;
  for (int64_t row = 0; row < kernel.size(2); ++row) {
    std::string line;
    for (int64_t column = 0; column < kernel.size(3); ++column) {
      line += fmt::format("{:{}}", kernel[0][0][row][column].item<int64_t>(), width);
    }
    lines.push_back(line);
  }
  return lines;
}

void print_side_by_side(const std::vector<std::vector<std::string>>& blocks) {
  for (std::size_t row = 0; row < blocks[0].size(); ++row) {
    for (const auto& lines : blocks) fmt::print("|{:24}", lines[row]);
    fmt::print("|\n");
  }
}

void print_answer() {
  fmt::print(
      "A small weight matrix that detects a pattern: edges, textures, shapes. In a network its\n"
      "weights are learned; these are fixed. Common sizes are 3x3, 5x5 and 7x7.\n\n"
      "The image: a bar, a chessboard, a disc\n");
  const at::Tensor image = draw_image();
  print_side_by_side({shade(image)});

  for (const int64_t size : {3, 5, 7}) {
    fmt::print("\n{}\n", fmt::format("{0}x{0}: {1:20}{2:25}{3}", size, "edge", "texture", "shape"));
    const std::array kernels{edge_kernel(size), texture_kernel(size), shape_kernel(size)};
    print_side_by_side(
        {numbers(kernels[0], 3), numbers(kernels[1], 3), numbers(kernels[2], size == 7 ? 3 : 4)});
    std::vector<at::Tensor> responses;
    for (const at::Tensor& kernel : kernels) {
      responses.push_back(at::conv2d(image, kernel, {}, 1, size / 2));
    }
    // Edges and textures count with either sign, a shape only where it is bright.
    print_side_by_side(
        {shade(responses[0].abs()), shade(responses[1].abs()), shade(responses[2].clamp_min(0))});
  }
}

}  // namespace

int main(int argc, char** argv) {
  return qa::answer(argc, argv, "2. What is a kernel/filter?", print_answer);
}

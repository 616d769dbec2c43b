// Fixed kernels for edges, textures and shapes, and what they respond to in a picture.
#include "picture.h"
#include "qa.h"

#include <convkit/filters.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

namespace q2 {

struct Detector {
  const char* pattern;
  const char* name;
  at::Tensor (*kernel)(int64_t size);
};

const std::vector<Detector> detectors = {
    {"edges, upright", "Sobel x",
     [](int64_t size) { return convkit::sobel_kernel(convkit::Axis::kX, size); }},
    {"edges, lying", "Sobel y",
     [](int64_t size) { return convkit::sobel_kernel(convkit::Axis::kY, size); }},
    {"texture, upright", "Gabor, 4 pixels a wave",
     [](int64_t size) {
       return convkit::gabor_kernel(
           {.kernel_size = size, .sigma = static_cast<double>(size) / 4, .lambda = 4, .psi = 0});
     }},
    {"texture, oblique", "Gabor, turned by 45 degrees",
     [](int64_t size) {
       return convkit::gabor_kernel({.kernel_size = size,
                                     .sigma = static_cast<double>(size) / 4,
                                     .theta = std::numbers::pi / 4,
                                     .lambda = 5.66,
                                     .psi = 0});
     }},
    {"shapes, spots", "small minus wide Gaussian",
     [](int64_t size) {
       const double sigma = static_cast<double>(size) / 6;
       return convkit::gaussian_kernel(size, sigma) - convkit::gaussian_kernel(size, 2 * sigma);
     }},
};
const std::vector<int64_t> sizes = {3, 5, 7};

/// The kernel's numbers, one line for each row.
std::vector<std::string> numbers(const at::Tensor& kernel) {
  std::vector<std::string> lines;
  for (int64_t row = 0; row < kernel.size(0); ++row) {
    std::string line;
    for (int64_t column = 0; column < kernel.size(1); ++column) {
      // Adding 0 turns -0.00 into 0.00.
      const double value = std::round(kernel[row][column].item<double>() * 100) / 100 + 0.0;
      line += fmt::format("{:7.2f}", value);
    }
    lines.push_back(line);
  }
  return lines;
}

/// Where things stand on a sheet with one picture, or two of them side by side.
struct Layout {
  static constexpr int64_t kMargin = 16;
  static constexpr int64_t kKernel = 42;  // a kernel's side: 3, 5 and 7 pixels of it are whole ones

  explicit Layout(const std::vector<at::Tensor>& pictures)
      : scale(static_cast<int64_t>(pictures.size())), line(24 * scale) {
    for (const at::Tensor& picture : pictures) {
      height = std::max(height, picture.size(2));
      column = std::max(column, picture.size(3));
    }
  }

  int64_t columns() const { return static_cast<int64_t>(sizes.size()); }
  int64_t rows() const { return static_cast<int64_t>(detectors.size()); }
  int64_t left(int64_t picture, int64_t size) const {
    return kMargin + picture * (columns() * (column + kMargin) + kMargin) +
           size * (column + kMargin);
  }
  int64_t pictures_top() const { return kMargin + line + kMargin / 2; }
  /// Of a detector's name; its kernels stand below that, and the responses below these.
  int64_t top(int64_t row) const {
    return pictures_top() + height + 2 * kMargin + row * (line + kKernel + height + 3 * kMargin);
  }
  int64_t kernels_top(int64_t row) const { return top(row) + line; }
  int64_t responses_top(int64_t row) const { return kernels_top(row) + kKernel + kMargin / 2; }

  int64_t scale;         // of the letters: a sheet of two pictures is shown at half its size
  int64_t line;          // the height of a line of text
  int64_t height = 0;    // of a picture
  int64_t column = 260;  // its width, or that of the words beside it
};

void draw_kernel(qa::Sheet& sheet, const Layout& layout, const at::Tensor& kernel, int64_t top,
                 int64_t left) {
  const int64_t size = kernel.size(0);
  const int64_t pixel = Layout::kKernel / size;
  const at::Tensor drawn = kernel.repeat_interleave(pixel, 0).repeat_interleave(pixel, 1);
  sheet.draw_signed(top, left, drawn.contiguous(), kernel.abs().max().item<float>());
  sheet.draw_frame(top, left, pixel * size, pixel * size);
  sheet.write_text(top + (Layout::kKernel - 20 * layout.scale) / 2, left + Layout::kKernel + 12,
                   fmt::format("{0} × {0}", size), layout.scale);
}

/// What every detector responds to in a picture: a row for each, and a column for each size.
void draw_responses(qa::Sheet& sheet, const Layout& layout, const at::Tensor& picture,
                    int64_t number) {
  for (int64_t row = 0; row < layout.rows(); ++row) {
    const Detector& detector = detectors[static_cast<std::size_t>(row)];
    for (int64_t column = 0; column < layout.columns(); ++column) {
      const int64_t left = layout.left(number, column);
      const int64_t top = layout.responses_top(row);
      const at::Tensor kernel = detector.kernel(sizes[static_cast<std::size_t>(column)]);
      const at::Tensor centred = kernel - kernel.mean();  // blind to brightness
      const at::Tensor response = convkit::filter2d(picture, centred)[0][0];
      // The rounding of a flat picture is no response.
      const float noise = 1e-4F * centred.abs().sum().item<float>();
      sheet.draw_signed(top, left, response, std::max(response.abs().max().item<float>(), noise));
      sheet.draw_frame(top, left, picture.size(2), picture.size(3));
      draw_kernel(sheet, layout, centred, layout.kernels_top(row), left);
    }
  }
}

/// The pictures, and below them what every detector responds to in each.
void draw(const std::vector<at::Tensor>& pictures, const std::string& file) {
  const Layout layout(pictures);
  const auto count = static_cast<int64_t>(pictures.size());
  qa::Sheet sheet(layout.top(layout.rows()), layout.left(count - 1, layout.columns()));
  sheet.write_text(Layout::kMargin, Layout::kMargin, "What fixed kernels respond to", layout.scale);
  for (int64_t number = 0; number < count; ++number) {
    const at::Tensor& picture = pictures[static_cast<std::size_t>(number)];
    const int64_t left = layout.left(number, 0);
    sheet.draw_grey(layout.pictures_top(), left, picture);
    sheet.draw_frame(layout.pictures_top(), left, picture.size(2), picture.size(3));
    draw_responses(sheet, layout, picture, number);
  }
  const char* const legend[] = {"a kernel and its response:", "red is above 0,", "blue below 0"};
  for (int64_t i = 0; i < 3; ++i) {
    sheet.write_text(layout.pictures_top() + i * layout.line, layout.left(0, 1), legend[i],
                     layout.scale);
  }
  for (int64_t row = 0; row < layout.rows(); ++row) {
    const Detector& detector = detectors[static_cast<std::size_t>(row)];
    sheet.write_text(layout.top(row), layout.left(0, 0),
                     fmt::format("{}: {}", detector.pattern, detector.name), layout.scale);
  }
  sheet.save(file);
}

/// Small enough that a response of 3x3 can be seen, and large enough to be seen itself.
at::Tensor fit(const at::Tensor& picture, int64_t widest) {
  constexpr int64_t least = 240;
  const int64_t longer = std::max(picture.size(2), picture.size(3));
  if (longer > widest) {
    return at::adaptive_avg_pool2d(
        picture, {picture.size(2) * widest / longer, picture.size(3) * widest / longer});
  }
  const int64_t factor = (least + longer - 1) / longer;
  return picture.repeat_interleave(factor, 2).repeat_interleave(factor, 3);
}

}  // namespace q2

int q2_kernels(int argc, char** argv) {
  using namespace q2;
  std::vector<at::Tensor> pictures;
  std::string output = "q2_kernels.png";
  const auto add_options = [&](CLI::App& app) {
    app.add_option_function<std::string>(
        "picture",
        [&](const std::string& file) {
          constexpr int64_t widest = 360;
          pictures = {fit(qa::read_picture(file), widest)};
        },
        "PNG or JPEG; without one, a drawn picture and a photograph of a cat");
    app.add_option("-o,--output", output, "the PNG to write")->capture_default_str();
  };
  const auto print_answer = [&] {
    fmt::print(
        "A small weight matrix that detects a pattern: edges, textures, shapes. In a network its\n"
        "weights are learned; these are fixed. Common sizes are 3x3, 5x5 and 7x7.\n");
    for (const Detector& detector : detectors) {
      fmt::print("\n{}: {}\n", detector.pattern, detector.name);
      const auto small = numbers(detector.kernel(3));
      const auto large = numbers(detector.kernel(5));
      for (std::size_t row = 0; row < large.size(); ++row) {
        fmt::print("{:21}   {}\n", row < small.size() ? small[row] : "", large[row]);
      }
    }
    if (pictures.empty()) {
      const at::Tensor drawn = qa::draw_test_picture();
      pictures = {drawn, fit(qa::read_picture(QA_PHOTOGRAPH), drawn.size(3))};
    }
    draw(pictures, output);
    fmt::print("\nTheir responses at 3x3, 5x5 and 7x7 are in {}\n", output);
  };
  return qa::answer(argc, argv, "2. What is a kernel/filter?", print_answer, add_options);
}

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

/// Responses of every detector (rows) at every size (columns), the kernel in the corner of each.
void draw(const at::Tensor& picture, const std::string& file) {
  constexpr int64_t margin = 16;
  constexpr int64_t line = 26;
  const int64_t height = picture.size(2);
  const int64_t width = picture.size(3);
  const int64_t column_width = std::max<int64_t>(width, 270);  // the widest label
  const int64_t columns = static_cast<int64_t>(sizes.size());
  const int64_t rows = static_cast<int64_t>(detectors.size());
  const int64_t row_height = height + 2 * line;
  qa::Sheet sheet(2 * line + (rows + 1) * row_height, margin + columns * (column_width + margin));

  sheet.write_text(margin, margin, "What fixed kernels respond to");
  sheet.draw_grey(2 * line, margin, picture);
  sheet.draw_frame(2 * line, margin, height, width);
  const char* const legend[] = {"the picture", "", "red: above 0", "blue: below 0",
                                "in the corner: the kernel"};
  for (int64_t i = 0; i < 5; ++i) {
    sheet.write_text(2 * line + i * line, 2 * margin + column_width, legend[i]);
  }

  for (int64_t row = 0; row < rows; ++row) {
    const Detector& detector = detectors[static_cast<std::size_t>(row)];
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t size = sizes[static_cast<std::size_t>(column)];
      const int64_t top = 2 * line + (row + 1) * row_height;
      const int64_t left = margin + column * (column_width + margin);
      const at::Tensor kernel = detector.kernel(size);
      const at::Tensor centred = kernel - kernel.mean();  // blind to brightness
      const at::Tensor response = convkit::filter2d(picture, centred)[0][0];
      const std::string pattern = column == 0 ? std::string(detector.pattern) + ", " : "";
      sheet.write_text(top - line, left, fmt::format("{}{}x{}", pattern, size, size));
      // The rounding of a flat picture is no response.
      const float noise = 1e-4F * centred.abs().sum().item<float>();
      sheet.draw_signed(top, left, response, std::max(response.abs().max().item<float>(), noise));
      sheet.draw_frame(top, left, height, width);

      const int64_t pixel = 35 / size;
      const at::Tensor inset =
          centred.repeat_interleave(pixel, 0).repeat_interleave(pixel, 1).contiguous();
      const int64_t inset_top = top + height - pixel * size;
      sheet.draw_signed(inset_top, left, inset, centred.abs().max().item<float>());
      sheet.draw_frame(inset_top, left, pixel * size, pixel * size);
    }
  }
  sheet.save(file);
}

/// Small enough that a response of 3x3 can be seen, and large enough for the kernel in the corner.
at::Tensor fit(const at::Tensor& picture) {
  constexpr int64_t widest = 360;
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
  at::Tensor picture = qa::draw_test_picture();
  std::string output = "q2_kernels.png";
  const auto add_options = [&](CLI::App& app) {
    app.add_option_function<std::string>(
        "picture", [&](const std::string& file) { picture = qa::read_picture(file); },
        "PNG or JPEG; without one, a test picture is drawn");
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
    draw(fit(picture), output);
    fmt::print("\nTheir responses at 3x3, 5x5 and 7x7 are in {}\n", output);
  };
  return qa::answer(argc, argv, "2. What is a kernel/filter?", print_answer, add_options);
}

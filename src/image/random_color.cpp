#include <convkit/random_color.h>

#include "image/image_checks.h"
#include "image/random_draws.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace convkit::transforms {

using detail::check_image;
using detail::Generator;
using detail::happens;
using torch::Tensor;

namespace {

using Numbers = std::array<double, 2>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The range that is meant, around `center`, or none where nothing can change.
std::optional<Numbers> range_of(const char* what, const std::vector<double>& given, double center,
                                const Numbers& bounds) {
  if (given.empty()) return std::nullopt;
  TORCH_CHECK_VALUE(given.size() <= 2, "color_jitter: expected at most 2 numbers of ", what,
                    ", got ", given.size());
  Numbers range{given.front(), given.back()};
  if (given.size() == 1) {
    TORCH_CHECK_VALUE(given[0] >= 0, "color_jitter: expected ", what, " >= 0, got ", given[0]);
    range = {center - given[0], center + given[0]};
    if (bounds[0] == 0) range[0] = std::max(range[0], 0.0);
  }
  TORCH_CHECK_VALUE(bounds[0] <= range[0] && range[0] <= range[1] && range[1] <= bounds[1],
                    "color_jitter: expected a range of ", what, " that rises from ", bounds[0],
                    " to ", bounds[1], " at most, got ", range[0], " to ", range[1]);
  if (range[0] == center && range[1] == center) return std::nullopt;
  return range;
}

/// What erase() writes, if it is not random.
Tensor value_of(const Tensor& image, const std::vector<double>& value) {
  const auto count = static_cast<int64_t>(value.size());
  TORCH_CHECK_VALUE(count <= 1 || count == image.size(-3), "random_erasing: expected none, 1 or ",
                    image.size(-3), " values, got ", count);
  return at::tensor(value, image.options().dtype(torch::kFloat)).view({-1, 1, 1});
}

}  // namespace

Tensor color_jitter(const Tensor& image, const ColorJitterOptions& options, Generator generator) {
  check_image("color_jitter", image);
  const Numbers factors{0, kInfinity};
  const std::array<std::optional<Numbers>, 4> ranges{
      range_of("brightness", options.brightness, 1, factors),
      range_of("contrast", options.contrast, 1, factors),
      range_of("saturation", options.saturation, 1, factors),
      range_of("hue", options.hue, 0, {-0.5, 0.5})};
  const Tensor order = at::randperm(4, generator, torch::kLong);
  std::array<double, 4> drawn{};
  for (std::size_t i = 0; i < 4; ++i) {
    if (ranges[i]) drawn[i] = detail::uniform((*ranges[i])[0], (*ranges[i])[1], generator);
  }
  Tensor x = image;
  for (int64_t i = 0; i < 4; ++i) {
    const auto which = static_cast<std::size_t>(order[i].item<int64_t>());
    if (!ranges[which]) continue;
    const double factor = drawn[which];
    switch (which) {
      case 0:
        x = adjust_brightness(x, factor);
        break;
      case 1:
        x = adjust_contrast(x, factor, options.way);
        break;
      case 2:
        x = adjust_saturation(x, factor, options.way);
        break;
      default:
        x = adjust_hue(x, factor, options.way);
    }
  }
  return x;
}

Tensor random_grayscale(const Tensor& image, double p, Generator generator,
                        std::optional<Way> way) {
  check_image("random_grayscale", image);
  if (!happens("random_grayscale", p, generator)) return image;
  return rgb_to_grayscale(image, image.size(-3), way);
}

Tensor random_invert(const Tensor& image, double p, Generator generator) {
  check_image("random_invert", image);
  return happens("random_invert", p, generator) ? invert(image) : image;
}

Tensor random_posterize(const Tensor& image, int64_t bits, double p, Generator generator) {
  check_image("random_posterize", image);
  return happens("random_posterize", p, generator) ? posterize(image, bits) : image;
}

Tensor random_solarize(const Tensor& image, double threshold, double p, Generator generator) {
  check_image("random_solarize", image);
  return happens("random_solarize", p, generator) ? solarize(image, threshold) : image;
}

Tensor random_autocontrast(const Tensor& image, double p, Generator generator,
                           std::optional<Way> way) {
  check_image("random_autocontrast", image);
  return happens("random_autocontrast", p, generator) ? autocontrast(image, way) : image;
}

Tensor random_equalize(const Tensor& image, double p, Generator generator) {
  check_image("random_equalize", image);
  return happens("random_equalize", p, generator) ? equalize(image) : image;
}

Tensor random_adjust_sharpness(const Tensor& image, double factor, double p, Generator generator,
                               std::optional<Way> way) {
  check_image("random_adjust_sharpness", image);
  return happens("random_adjust_sharpness", p, generator) ? adjust_sharpness(image, factor, way)
                                                          : image;
}

Tensor random_gaussian_blur(const Tensor& image, c10::IntArrayRef kernel_size, Numbers sigma,
                            Generator generator) {
  check_image("random_gaussian_blur", image);
  TORCH_CHECK_VALUE(sigma[0] > 0 && sigma[0] <= sigma[1],
                    "random_gaussian_blur: expected a sigma with 0 < least <= most, got ", sigma[0],
                    " and ", sigma[1]);
  return gaussian_blur(image, kernel_size, {detail::uniform(sigma[0], sigma[1], generator)});
}

Tensor random_erasing(const Tensor& image, const RandomErasingOptions& options,
                      Generator generator) {
  check_image("random_erasing", image);
  const auto& [p, scale, ratio, given] = options;
  TORCH_CHECK_VALUE(0 <= scale[0] && scale[0] <= scale[1] && scale[1] <= 1,
                    "random_erasing: expected a scale with 0 <= least <= most <= 1, got ", scale[0],
                    " and ", scale[1]);
  TORCH_CHECK_VALUE(ratio[0] > 0 && ratio[0] <= ratio[1],
                    "random_erasing: expected a ratio with 0 < least <= most, got ", ratio[0],
                    " and ", ratio[1]);
  Tensor value = value_of(image, given);
  if (!happens("random_erasing", p, generator)) return image;
  const int64_t height = image.size(-2);
  const int64_t width = image.size(-1);
  const auto area = static_cast<double>(height * width);
  for (int draw = 0; draw < 10; ++draw) {
    const double target = area * detail::uniform(scale[0], scale[1], generator);
    const double sides = detail::ratio_between(ratio, generator);
    const int64_t h = detail::rounded(std::sqrt(target * sides));
    const int64_t w = detail::rounded(std::sqrt(target / sides));
    if (h >= height || w >= width) continue;
    // Drawn on the cpu, as in Python, and before the place.
    if (given.empty()) {
      value = at::empty({image.size(-3), h, w}, torch::kFloat).normal_(0, 1, generator);
    }
    const int64_t top = detail::below(height - h + 1, generator);
    const int64_t left = detail::below(width - w + 1, generator);
    return erase(image, {.top = top, .left = left, .height = h, .width = w}, value);
  }
  return image;
}

}  // namespace convkit::transforms

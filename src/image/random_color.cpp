#include <convkit/random_color.h>

#include "image/image_checks.h"
#include "image/random_draws.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace convkit::transforms {

using detail::check_image;
using detail::Generator;
using detail::happens;
using detail::Numbers;
using torch::Tensor;

namespace {

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
  const auto ranges = detail::ranges_of("color_jitter", options);
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
  detail::check_sigma("random_gaussian_blur", sigma);
  return gaussian_blur(image, kernel_size, {detail::uniform(sigma[0], sigma[1], generator)});
}

Tensor random_erasing(const Tensor& image, const RandomErasingOptions& options,
                      Generator generator) {
  check_image("random_erasing", image);
  const auto& [p, scale, ratio, given] = options;
  detail::check_area("random_erasing", scale, ratio, 1);
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

#include <convkit/color.h>

#include "core/wrapped.h"
#include "image/image_checks.h"
#include "image/image_types.h"
#include "image/pillow_color.h"
#include "image/sides.h"
#include "image/tensor_color.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/where.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <vector>

namespace convkit::transforms {

using detail::is_pillow;
using torch::Tensor;

namespace {

void check_colored(const char* name, const Tensor& image) {
  detail::check_image(name, image);
  TORCH_CHECK_VALUE(image.size(-3) == 1 || image.size(-3) == 3, name,
                    ": expected an image of 1 or 3 channels, got ", image.sizes());
  detail::check_type(name, image.scalar_type());
}

void check_factor(const char* name, const Tensor& image, double factor) {
  check_colored(name, image);
  TORCH_CHECK_VALUE(factor >= 0, name, ": expected a factor >= 0, got ", factor);
}

/// One that the image is blended by, in float32 or in its own type of floating point.
void check_blend(const char* name, const Tensor& image, double factor) {
  check_factor(name, image, factor);
  const torch::Dtype dtype = image.is_floating_point() ? image.scalar_type() : torch::kFloat;
  TORCH_CHECK_VALUE(factor <= detail::largest_finite(dtype), name, ": expected a factor that ",
                    dtype, " has, got ", factor);
}

/// An image that is computed in float32 or in its own type of floating point, and comes back from there.
void check_exact(const char* name, const Tensor& image) {
  const torch::Dtype dtype = image.scalar_type();
  TORCH_CHECK_VALUE(dtype != torch::kInt && dtype != torch::kLong, name,
                    ": expected a type of which float32 has all numbers, got ", dtype);
}

}  // namespace

Tensor rgb_to_grayscale(const Tensor& image, int64_t num_output_channels, std::optional<Way> way) {
  check_colored("rgb_to_grayscale", image);
  TORCH_CHECK_VALUE(num_output_channels == 1 || num_output_channels == 3,
                    "rgb_to_grayscale: expected num_output_channels 1 or 3, got ",
                    num_output_channels);
  const bool pillow = is_pillow("rgb_to_grayscale", image, way);
  Tensor gray = image;
  if (image.size(-3) == 3) {
    gray = pillow ? detail::pillow_grayscale(image)
                  : detail::tensor_grayscale(image).to(image.scalar_type());
  }
  std::vector<int64_t> sizes = image.sizes().vec();
  sizes[sizes.size() - 3] = num_output_channels;
  return gray.expand(sizes);
}

Tensor adjust_brightness(const Tensor& image, double factor) {
  check_factor("adjust_brightness", image, factor);
  return image.mul(factor).clamp_(0, detail::largest(image.scalar_type())).to(image.scalar_type());
}

Tensor adjust_contrast(const Tensor& image, double factor, std::optional<Way> way) {
  check_blend("adjust_contrast", image, factor);
  return is_pillow("adjust_contrast", image, way)
             ? detail::pillow_blend(detail::pillow_mean(image), image, factor)
             : detail::tensor_blend(image, detail::tensor_mean(image), factor);
}

Tensor adjust_saturation(const Tensor& image, double factor, std::optional<Way> way) {
  check_blend("adjust_saturation", image, factor);
  const bool pillow = is_pillow("adjust_saturation", image, way);
  if (image.size(-3) == 1) return image;
  if (pillow) return detail::pillow_blend(detail::pillow_grayscale(image), image, factor);
  Tensor gray = detail::tensor_grayscale(image);
  if (!image.is_floating_point()) gray.floor_();
  return detail::tensor_blend(image, gray, factor);
}

Tensor adjust_hue(const Tensor& image, double factor, std::optional<Way> way) {
  check_colored("adjust_hue", image);
  TORCH_CHECK_VALUE(factor >= -0.5 && factor <= 0.5,
                    "adjust_hue: expected a factor from -0.5 to 0.5, got ", factor);
  const bool pillow = is_pillow("adjust_hue", image, way);
  check_exact("adjust_hue", image);
  if (image.size(-3) == 1 || image.numel() == 0) return image;
  if (pillow) {
    return detail::pillow_turned(image, static_cast<uint8_t>(static_cast<int>(factor * 255)));
  }
  const Tensor x = to_dtype(image, torch::kFloat, /*scale=*/true);
  return to_dtype(detail::tensor_turned(x, factor), image.scalar_type(), /*scale=*/true);
}

Tensor invert(const Tensor& image) {
  detail::check_image("invert", image, 0);
  detail::check_numeric("invert", image.scalar_type());
  if (image.is_floating_point()) return at::rsub(image, 1.0);
  return image.bitwise_xor(detail::largest(image.scalar_type()));
}

Tensor posterize(const Tensor& image, int64_t bits) {
  detail::check_image("posterize", image, 0);
  detail::check_numeric("posterize", image.scalar_type());
  TORCH_CHECK_VALUE(bits >= 0 && bits <= 8, "posterize: expected bits from 0 to 8, got ", bits);
  const auto levels = int64_t{1} << bits;
  if (image.is_floating_point()) {
    return detail::multiply_(image.mul(levels).floor_().clamp_(0, levels - 1),
                             1.0 / static_cast<double>(levels));
  }
  const int64_t more = detail::value_bits(image.scalar_type()) - bits;
  return more <= 0 ? image : image.bitwise_and((levels - 1) << more);
}

Tensor solarize(const Tensor& image, double threshold) {
  detail::check_image("solarize", image, 0);
  detail::check_numeric("solarize", image.scalar_type());
  const int64_t white = detail::largest(image.scalar_type());
  TORCH_CHECK_VALUE(threshold <= static_cast<double>(white),
                    "solarize: expected a threshold up to ", white, ", got ", threshold);
  return at::where(image >= threshold, invert(image), image);
}

Tensor autocontrast(const Tensor& image, std::optional<Way> way) {
  check_colored("autocontrast", image);
  const bool pillow = is_pillow("autocontrast", image, way);
  if (image.numel() == 0) return image;
  return pillow ? detail::pillow_autocontrast(image) : detail::tensor_autocontrast(image);
}

Tensor equalize(const Tensor& image) {
  detail::check_image("equalize", image, 2);
  detail::check_numeric("equalize", image.scalar_type());
  if (image.numel() == 0) return image;
  const Tensor bytes = to_dtype(image, torch::kByte, /*scale=*/true);
  return to_dtype(detail::tensor_equalize(bytes), image.scalar_type(), /*scale=*/true);
}

Tensor adjust_sharpness(const Tensor& image, double factor, std::optional<Way> way) {
  check_blend("adjust_sharpness", image, factor);
  const bool pillow = is_pillow("adjust_sharpness", image, way);
  if (image.numel() == 0 || image.size(-2) <= 2 || image.size(-1) <= 2) return image;
  return pillow ? detail::pillow_blend(detail::pillow_smooth(image), image, factor)
                : detail::tensor_sharpness(image, factor);
}

Tensor adjust_gamma(const Tensor& image, double gamma, double gain, std::optional<Way> way) {
  detail::check_image("adjust_gamma", image);
  detail::check_type("adjust_gamma", image.scalar_type());
  TORCH_CHECK_VALUE(gamma >= 0, "adjust_gamma: expected a gamma >= 0, got ", gamma);
  if (is_pillow("adjust_gamma", image, way)) {
    std::array<uint8_t, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i) {
      const double share = std::pow(static_cast<double>(i) / 255.0, gamma);
      table[i] = static_cast<uint8_t>(std::clamp((255 + 1 - 1e-3) * gain * share, 0.0, 255.0));
    }
    return detail::pillow_mapped(image, table);
  }
  check_exact("adjust_gamma", image);
  const torch::Dtype dtype = image.scalar_type();
  // LibTorch's power of half precision takes its own numbers alone.
  TORCH_CHECK_VALUE((dtype != torch::kHalf && dtype != torch::kBFloat16) || std::isinf(gamma) ||
                        gamma <= detail::largest_finite(dtype),
                    "adjust_gamma: expected a gamma that ", dtype, " has, got ", gamma);
  Tensor x = image.is_floating_point() ? image : to_dtype(image, torch::kFloat, /*scale=*/true);
  x = x.pow(gamma);
  if (gain != 1) detail::multiply_(x, gain).clamp_(0.0, 1.0);
  return to_dtype(x, image.scalar_type(), /*scale=*/true);
}

Tensor gaussian_blur(const Tensor& image, c10::IntArrayRef kernel_size,
                     c10::ArrayRef<double> sigma) {
  detail::check_image("gaussian_blur", image);
  TORCH_CHECK_VALUE(!image.is_complex(), "gaussian_blur: expected an image of real numbers, got ",
                    image.scalar_type());
  const std::array<int64_t, 2> sides = detail::sides_of_kernel("gaussian_blur", kernel_size);
  TORCH_CHECK_VALUE(sigma.size() <= 2, "gaussian_blur: expected 1 or 2 numbers of sigma, got ",
                    sigma);
  std::array<double, 2> sigmas{};
  for (std::size_t i = 0; i < 2; ++i) {
    sigmas[i] = sigma.empty() ? static_cast<double>(sides[i]) * 0.15 + 0.35
                              : (i == 0 ? sigma.front() : sigma.back());
    TORCH_CHECK_VALUE(sigmas[i] > 0, "gaussian_blur: expected sigma > 0, got ", sigmas[i]);
  }
  if (image.numel() == 0) return image;
  TORCH_CHECK_VALUE(sides[0] / 2 < image.size(-1) && sides[1] / 2 < image.size(-2),
                    "gaussian_blur: expected a kernel_size below twice the sides of the image ",
                    image.sizes(), ", got ", kernel_size);
  if (image.is_floating_point()) return detail::tensor_blur(image, sides, sigmas);
  return detail::tensor_blur(image.to(torch::kFloat), sides, sigmas)
      .round_()
      .to(image.scalar_type());
}

}  // namespace convkit::transforms

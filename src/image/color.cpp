#include <convkit/color.h>

#include "image/image_checks.h"
#include "image/image_types.h"
#include "image/pillow_color.h"
#include "image/tensor_color.h"

#include <ATen/core/TensorBody.h>
#include <c10/util/Exception.h>

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
}

void check_factor(const char* name, const Tensor& image, double factor) {
  check_colored(name, image);
  TORCH_CHECK_VALUE(factor >= 0, name, ": expected a factor >= 0, got ", factor);
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
  return image.mul(factor)
      .clamp_(0, detail::largest(image.scalar_type()))
      .to(image.scalar_type());
}

Tensor adjust_contrast(const Tensor& image, double factor, std::optional<Way> way) {
  check_factor("adjust_contrast", image, factor);
  return is_pillow("adjust_contrast", image, way)
             ? detail::pillow_blend(detail::pillow_mean(image), image, factor)
             : detail::tensor_blend(image, detail::tensor_mean(image), factor);
}

Tensor adjust_saturation(const Tensor& image, double factor, std::optional<Way> way) {
  check_factor("adjust_saturation", image, factor);
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
  const torch::Dtype dtype = image.scalar_type();
  TORCH_CHECK_VALUE(dtype != torch::kInt && dtype != torch::kLong,
                    "adjust_hue: expected a type of which float32 has all numbers, got ", dtype);
  if (image.size(-3) == 1 || image.numel() == 0) return image;
  if (pillow) {
    return detail::pillow_turned(image, static_cast<uint8_t>(static_cast<int>(factor * 255)));
  }
  const Tensor x = to_dtype(image, torch::kFloat, /*scale=*/true);
  return to_dtype(detail::tensor_turned(x, factor), dtype, /*scale=*/true);
}

}  // namespace convkit::transforms

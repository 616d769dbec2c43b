#include <convkit/sample.h>

#include "image/image_checks.h"

#include <ATen/core/TensorBody.h>
#include <c10/util/Exception.h>

namespace convkit::transforms {

using detail::check_sample;
using torch::Tensor;

namespace {

/// A mask may have rows and columns alone.
template <typename Transform>
Tensor of_mask(const Tensor& mask, const Transform& transform) {
  if (!mask.defined()) return mask;
  return mask.dim() == 2 ? transform(mask.unsqueeze(0)).squeeze(0) : transform(mask);
}

/// The same of each part.
template <typename Transform>
Sample each(const char* name, const Sample& sample, const Transform& transform) {
  check_sample(name, sample);
  Sample result{.image = transform(sample.image), .mask = of_mask(sample.mask, transform)};
  if (sample.boxes) result.boxes = transform(*sample.boxes);
  return result;
}

Tensor resize_mask(const Tensor& mask, c10::IntArrayRef size, Interpolation interpolation,
                   std::optional<int64_t> max_size = {}) {
  return of_mask(mask, [&](const Tensor& x) {
    return resize(x, size,
                  {.interpolation = interpolation, .max_size = max_size, .way = Way::kTensor});
  });
}

}  // namespace

Sample resize(const Sample& sample, c10::IntArrayRef size, const ResizeOptions& options) {
  check_sample("resize", sample);
  const Interpolation nearest = options.interpolation == Interpolation::kNearestExact
                                    ? Interpolation::kNearestExact
                                    : Interpolation::kNearest;
  Sample result{.image = resize(sample.image, size, options),
                .mask = resize_mask(sample.mask, size, nearest, options.max_size)};
  if (sample.boxes) result.boxes = resize(*sample.boxes, size, options.max_size);
  return result;
}

Sample crop(const Sample& sample, const Region& region) {
  return each("crop", sample, [&](const auto& part) { return crop(part, region); });
}

Sample resized_crop(const Sample& sample, const Region& region, c10::IntArrayRef size,
                    const ResizeOptions& options) {
  const Sample cropped = crop(sample, region);
  Sample result{.image = resize(cropped.image, size, options),
                .mask = resize_mask(cropped.mask, size, Interpolation::kNearest)};
  if (cropped.boxes) result.boxes = resize(*cropped.boxes, size);
  return result;
}

Sample pad(const Sample& sample, c10::IntArrayRef padding, const PadOptions& options,
           std::optional<double> mask_fill) {
  check_sample("pad", sample);
  TORCH_CHECK_VALUE(!sample.boxes || options.padding_mode == PaddingMode::kConstant,
                    "pad: expected PaddingMode::kConstant with boxes, got another mode");
  TORCH_CHECK_VALUE(!sample.mask.defined() || mask_fill || options.fill.size() == 1,
                    "pad: expected a mask_fill for a mask, beside a fill of ", options.fill.size(),
                    " numbers");
  Sample result{.image = pad(sample.image, padding, options)};
  result.mask = of_mask(sample.mask, [&](const Tensor& x) {
    return pad(
        x, padding,
        {.fill = {mask_fill ? *mask_fill : options.fill[0]}, .padding_mode = options.padding_mode});
  });
  if (sample.boxes) result.boxes = pad(*sample.boxes, padding);
  return result;
}

Sample horizontal_flip(const Sample& sample) {
  return each("horizontal_flip", sample, [](const auto& part) { return horizontal_flip(part); });
}

Sample vertical_flip(const Sample& sample) {
  return each("vertical_flip", sample, [](const auto& part) { return vertical_flip(part); });
}

Sample center_crop(const Sample& sample, c10::IntArrayRef size) {
  return each("center_crop", sample, [&](const auto& part) { return center_crop(part, size); });
}

}  // namespace convkit::transforms

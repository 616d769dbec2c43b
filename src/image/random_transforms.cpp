#include <convkit/random_transforms.h>

#include "image/image_checks.h"
#include "image/random_draws.h"
#include "image/sides.h"

#include <ATen/core/TensorBody.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

namespace convkit::transforms {

using detail::below;
using detail::check_sample;
using detail::check_size;
using detail::Generator;
using detail::happens;
using detail::ratio_between;
using detail::rounded;
using detail::uniform;
using torch::Tensor;

namespace {

/// The middle, as near to the allowed ratios as the image is.
Region middle(int64_t height, int64_t width, const std::array<double, 2>& ratio) {
  Region region{.height = height, .width = width};
  const double own = static_cast<double>(width) / static_cast<double>(height);
  if (own < ratio[0]) {
    region.height = rounded(static_cast<double>(width) / ratio[0]);
  } else if (own > ratio[1]) {
    region.width = rounded(static_cast<double>(height) * ratio[1]);
  }
  region.top = (height - region.height) / 2;
  region.left = (width - region.width) / 2;
  return region;
}

Region random_region(int64_t height, int64_t width, const RandomResizedCropOptions& options,
                     const Generator& generator) {
  const auto area = static_cast<double>(height * width);
  for (int draw = 0; draw < 10; ++draw) {
    const double target = area * uniform(options.scale[0], options.scale[1], generator);
    const double ratio = ratio_between(options.ratio, generator);
    const int64_t w = rounded(std::sqrt(target * ratio));
    const int64_t h = rounded(std::sqrt(target / ratio));
    if (w < 1 || w > width || h < 1 || h > height) continue;
    const int64_t top = below(height - h + 1, generator);
    const int64_t left = below(width - w + 1, generator);
    return {.top = top, .left = left, .height = h, .width = w};
  }
  return middle(height, width, options.ratio);
}

}  // namespace

Sample random_horizontal_flip(const Sample& sample, double p, Generator generator) {
  check_sample("random_horizontal_flip", sample);
  return happens("random_horizontal_flip", p, generator) ? horizontal_flip(sample) : sample;
}

Sample random_vertical_flip(const Sample& sample, double p, Generator generator) {
  check_sample("random_vertical_flip", sample);
  return happens("random_vertical_flip", p, generator) ? vertical_flip(sample) : sample;
}

Sample random_crop(const Sample& sample, c10::IntArrayRef size, const RandomCropOptions& options,
                   Generator generator) {
  check_sample("random_crop", sample);
  check_size("random_crop", size);
  const int64_t height = size.front();
  const int64_t width = size.back();
  std::array<int64_t, 4> padding{};
  if (!options.padding.empty()) padding = detail::sides_of_padding("random_crop", options.padding);
  detail::check_sides("random_crop", sample.image.size(-2), sample.image.size(-1));
  int64_t rows = sample.image.size(-2) + padding[1] + padding[3];
  int64_t columns = sample.image.size(-1) + padding[0] + padding[2];
  if (options.pad_if_needed) {
    const int64_t more_rows = std::max<int64_t>(height - rows, 0);
    const int64_t more_columns = std::max<int64_t>(width - columns, 0);
    padding[0] += more_columns;
    padding[1] += more_rows;
    padding[2] += more_columns;
    padding[3] += more_rows;
    rows += 2 * more_rows;
    columns += 2 * more_columns;
  }
  TORCH_CHECK_VALUE(height <= rows && width <= columns, "random_crop: expected a size within ",
                    rows, " x ", columns, ", got ", height, " x ", width, "; set pad_if_needed");
  detail::check_result("random_crop", sample.image, rows, columns);
  Sample padded = sample;
  if (std::ranges::any_of(padding, [](int64_t side) { return side != 0; })) {
    padded = pad(sample, padding, {.fill = options.fill, .padding_mode = options.padding_mode},
                 options.mask_fill);
  }
  if (rows == height && columns == width) return padded;
  // Nothing is drawn for a side that fits.
  const int64_t top = rows > height ? below(rows - height + 1, generator) : 0;
  const int64_t left = columns > width ? below(columns - width + 1, generator) : 0;
  return crop(padded, {.top = top, .left = left, .height = height, .width = width});
}

Sample random_resized_crop(const Sample& sample, c10::IntArrayRef size,
                           const RandomResizedCropOptions& options, Generator generator) {
  check_sample("random_resized_crop", sample);
  const Tensor& image = sample.image;
  TORCH_CHECK_VALUE(image.numel() > 0, "random_resized_crop: expected an image with pixels, got ",
                    image.sizes());
  check_size("random_resized_crop", size);
  const int64_t height = size.front();
  const int64_t width = size.back();
  const auto& [scale, ratio, interpolation, antialias, way] = options;
  detail::check_area("random_resized_crop", scale, ratio);
  const Region region = random_region(image.size(-2), image.size(-1), options, generator);
  TORCH_CHECK_VALUE(region.height > 0 && region.width > 0,
                    "random_resized_crop: expected an image with a middle of the ratio ", ratio[0],
                    " to ", ratio[1], ", got ", image.sizes());
  return resized_crop(sample, region, {height, width},
                      {.interpolation = interpolation, .antialias = antialias, .way = way});
}

Tensor random_horizontal_flip(const Tensor& image, double p, Generator generator) {
  return random_horizontal_flip(Sample{.image = image}, p, std::move(generator)).image;
}

Tensor random_vertical_flip(const Tensor& image, double p, Generator generator) {
  return random_vertical_flip(Sample{.image = image}, p, std::move(generator)).image;
}

Tensor random_crop(const Tensor& image, c10::IntArrayRef size, const RandomCropOptions& options,
                   Generator generator) {
  return random_crop(Sample{.image = image}, size, options, std::move(generator)).image;
}

Tensor random_resized_crop(const Tensor& image, c10::IntArrayRef size,
                           const RandomResizedCropOptions& options, Generator generator) {
  return random_resized_crop(Sample{.image = image}, size, options, std::move(generator)).image;
}

}  // namespace convkit::transforms

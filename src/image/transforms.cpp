#include <convkit/transforms.h>

#include "image/image_checks.h"
#include "image/pillow_alpha.h"
#include "image/pillow_resize.h"
#include "image/sides.h"

#include <ATen/ExpandUtils.h>
#include <ATen/Version.h>
#include <ATen/core/TensorBody.h>
#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/_upsample_nearest_exact2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace convkit::transforms {

using detail::check_image;
using detail::check_size;
using detail::is_pillow;
using torch::Tensor;

namespace {

/// None for the nearest neighbour.
std::optional<detail::PillowFilter> pillow_filter(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::kNearest:
    case Interpolation::kNearestExact:
      return std::nullopt;  // torchvision makes no difference
    case Interpolation::kBox:
      return detail::PillowFilter::kBox;
    case Interpolation::kBilinear:
      return detail::PillowFilter::kBilinear;
    case Interpolation::kHamming:
      return detail::PillowFilter::kHamming;
    case Interpolation::kBicubic:
      return detail::PillowFilter::kBicubic;
    case Interpolation::kLanczos:
      return detail::PillowFilter::kLanczos;
  }
  return std::nullopt;
}

std::vector<int64_t> with_sides(const Tensor& image, int64_t height, int64_t width) {
  std::vector<int64_t> sizes = image.sizes().vec();
  sizes[sizes.size() - 2] = height;
  sizes[sizes.size() - 1] = width;
  return sizes;
}

Tensor resize_as_pillow(const Tensor& image, int64_t height, int64_t width,
                        Interpolation interpolation) {
  const int64_t channels = image.size(-3);
  if (height == image.size(-2) && width == image.size(-1)) return image;
  Tensor from = image.contiguous();
  const Tensor to = at::empty(with_sides(image, height, width), image.options());
  const int64_t planes = from.numel() / (from.size(-2) * from.size(-1));
  const detail::Planes own{planes, from.size(-2), from.size(-1)};
  auto* result = to.mutable_data_ptr<uint8_t>();
  const auto filter = pillow_filter(interpolation);
  if (!filter) {
    detail::pillow_nearest(from.const_data_ptr<uint8_t>(), own, height, width, result);
    return to;
  }
  const bool alpha = channels == 2 || channels == 4;
  if (alpha) {
    const Tensor multiplied = at::empty_like(from);
    detail::multiply_by_alpha(from.const_data_ptr<uint8_t>(), own, channels,
                              multiplied.mutable_data_ptr<uint8_t>());
    from = multiplied;
  }
  detail::pillow_resize(from.const_data_ptr<uint8_t>(), own, *filter, height, width, result);
  if (alpha) detail::divide_by_alpha(result, {planes, height, width}, channels);
  return to;
}

/// Whether torchvision leaves uint8 to LibTorch's kernel of that type.
bool has_own_uint8(const Tensor& image, Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::kNearest:
    case Interpolation::kNearestExact:
      return true;
    case Interpolation::kBicubic:
      return image.device().is_cpu();
    default: {
      const std::string capability = at::get_cpu_capability();
      return image.device().is_cpu() && (capability.find("AVX2") != std::string::npos ||
                                         capability.find("AVX512") != std::string::npos);
    }
  }
}

Tensor interpolate(const Tensor& image, c10::IntArrayRef size, const ResizeOptions& options) {
  switch (options.interpolation) {
    case Interpolation::kNearest:
      return at::upsample_nearest2d(image, size);
    case Interpolation::kNearestExact:
      return at::_upsample_nearest_exact2d(image, size);
    case Interpolation::kBilinear:
      return options.antialias ? at::_upsample_bilinear2d_aa(image, size, false)
                               : at::upsample_bilinear2d(image, size, false);
    case Interpolation::kBicubic:
      return options.antialias ? at::_upsample_bicubic2d_aa(image, size, false)
                               : at::upsample_bicubic2d(image, size, false);
    default:
      return {};
  }
}

Tensor resize_as_tensor(const Tensor& image, int64_t height, int64_t width,
                        const ResizeOptions& options) {
  TORCH_CHECK_VALUE(options.interpolation < Interpolation::kBox,
                    "resize: expected an interpolation that tensors have, got ",
                    detail::name_of(options.interpolation), "; take Way::kPillow");
  if (height == image.size(-2) && width == image.size(-1)) return image;
  const torch::Dtype dtype = image.scalar_type();
  Tensor x = image.reshape({-1, image.size(-3), image.size(-2), image.size(-1)});
  // With one image's strides, LibTorch keeps channels_last.
  if (x.size(0) == 1 && x.is_contiguous(torch::MemoryFormat::ChannelsLast) &&
      x.numel() != x.stride(0)) {
    std::vector<int64_t> strides = x.strides().vec();
    strides[0] = x.numel();
    x = x.as_strided(x.sizes(), strides);
  }
  const bool cast = dtype != torch::kFloat && dtype != torch::kDouble &&
                    !(dtype == torch::kByte && has_own_uint8(x, options.interpolation));
  if (cast) x = x.to(torch::kFloat);
  x = interpolate(x, {height, width}, options);
  if (cast) {
    if (options.interpolation == Interpolation::kBicubic && dtype == torch::kByte)
      x = x.clamp(0, 255);
    if (at::isIntegralType(dtype, /*includeBool=*/false)) x = x.round();
    x = x.to(dtype);
  }
  return x.reshape(with_sides(image, height, width));
}

/// Which of an axis' pixels lie in a region, and how many of the region's lie before and after them.
struct Axis {
  Axis(int64_t begin, int64_t length, int64_t size)
      : first(std::clamp<int64_t>(begin, 0, size)),
        inside(std::clamp<int64_t>(begin + length, first, std::max(first, size)) - first),
        before(std::clamp<int64_t>(-begin, 0, length)),
        after(length - inside - before) {}

  int64_t first;
  int64_t inside;
  int64_t before;
  int64_t after;
};

/// The image with copies of its outermost pixels at the ends of an axis.
Tensor with_edges(const Tensor& image, int64_t dim, int64_t before, int64_t after) {
  const int64_t size = image.size(dim);
  TORCH_CHECK_VALUE(size > 0 || (before == 0 && after == 0), "pad: expected padding of at most 0",
                    " for 0", dim == -1 ? " columns" : " rows", ", got ", std::max(before, after));
  std::vector<int64_t> sizes = image.sizes().vec();
  std::vector<Tensor> parts{image};
  int64_t& side = sizes[sizes.size() - static_cast<std::size_t>(-dim)];
  if (before > 0) {
    side = before;
    parts.insert(parts.begin(), image.narrow(dim, 0, 1).expand(sizes));
  }
  if (after > 0) {
    side = after;
    parts.push_back(image.narrow(dim, size - 1, 1).expand(sizes));
  }
  return at::cat(parts, dim);
}

/// The pixels of an axis, with those around it that the image is mirrored by.
Tensor mirrored(const Tensor& image, int64_t dim, int64_t before, int64_t after, PaddingMode mode) {
  const int64_t size = image.size(dim);
  const bool reflect = mode == PaddingMode::kReflect;
  const int64_t most = std::max<int64_t>(size - (reflect ? 1 : 0), 0);
  TORCH_CHECK_VALUE(before <= most && after <= most, "pad: expected padding of at most ", most,
                    " for ", size, dim == -1 ? " columns" : " rows", ", got ",
                    std::max(before, after));
  std::vector<int64_t> pixels;
  for (int64_t i = -before; i < size + after; ++i) {
    if (i < 0) {
      pixels.push_back(reflect ? -i : -i - 1);
    } else {
      pixels.push_back(i < size ? i : 2 * size - i - (reflect ? 2 : 1));
    }
  }
  return at::tensor(pixels, image.options().dtype(torch::kLong));
}

}  // namespace

Tensor resize(const Tensor& image, c10::IntArrayRef size, const ResizeOptions& options) {
  check_image("resize", image);
  TORCH_CHECK_VALUE(image.numel() > 0, "resize: expected an image with pixels, got ",
                    image.sizes());
  TORCH_CHECK_VALUE(!image.is_complex(), "resize: expected an image of real numbers, got ",
                    image.scalar_type());
  check_size("resize", size);
  const auto [height, width] =
      detail::resized_sides({image.size(-2), image.size(-1)}, size, options.max_size);
  detail::check_result("resize", image, height, width);
  return is_pillow("resize", image, options.way, /*alpha=*/true)
             ? resize_as_pillow(image, height, width, options.interpolation)
             : resize_as_tensor(image, height, width, options);
}

Tensor crop(const Tensor& image, const Region& region) {
  check_image("crop", image, 2);
  detail::check_region(region);
  detail::check_result("crop", image, region.height, region.width);
  const Axis rows(region.top, region.height, image.size(-2));
  const Axis columns(region.left, region.width, image.size(-1));
  const Tensor inside =
      image.narrow(-2, rows.first, rows.inside).narrow(-1, columns.first, columns.inside);
  if (inside.size(-2) == region.height && inside.size(-1) == region.width) return inside;
  return at::constant_pad_nd(inside, {columns.before, columns.after, rows.before, rows.after});
}

Tensor resized_crop(const Tensor& image, const Region& region, c10::IntArrayRef size,
                    const ResizeOptions& options) {
  return resize(crop(image, region), size, options);
}

Tensor pad(const Tensor& image, c10::IntArrayRef padding, const PadOptions& options) {
  check_image("pad", image);
  const auto [left, top, right, bottom] = detail::sides_of_padding("pad", padding);
  detail::check_sides("pad", image.size(-2), image.size(-1));
  detail::check_result("pad", image, top + image.size(-2) + bottom, left + image.size(-1) + right);
  if (options.padding_mode == PaddingMode::kEdge) {
    return with_edges(with_edges(image, -2, top, bottom), -1, left, right);
  }
  if (options.padding_mode != PaddingMode::kConstant) {
    const Tensor rows = mirrored(image, -2, top, bottom, options.padding_mode);
    const Tensor columns = mirrored(image, -1, left, right, options.padding_mode);
    return image.index_select(-2, rows).index_select(-1, columns);
  }
  const std::vector<double>& fill = options.fill;
  const auto count = static_cast<int64_t>(fill.size());
  detail::check_fill_count("pad", fill, options.padding_mode);
  TORCH_CHECK_VALUE(count == 1 || count == image.size(-3), "pad: expected a fill of 1 or ",
                    image.size(-3), " numbers, got ", count);
  const std::vector<int64_t> sides{left, right, top, bottom};
  const torch::Dtype dtype = image.scalar_type();
  if (count == 1) {
    return at::constant_pad_nd(image, sides, detail::checked_fill("pad", fill[0], dtype));
  }
  std::vector<Tensor> channels;
  for (int64_t i = 0; i < count; ++i) {
    // torchvision makes a tensor of float32 of several numbers.
    const double number =
        detail::checked_fill("pad", static_cast<float>(fill[static_cast<std::size_t>(i)]), dtype);
    channels.push_back(at::constant_pad_nd(image.narrow(-3, i, 1), sides, number));
  }
  return at::cat(channels, -3);
}

Tensor erase(const Tensor& image, const Region& region, const Tensor& value) {
  check_image("erase", image);
  const auto [top, left, height, width] = region;
  TORCH_CHECK_VALUE(top >= 0 && left >= 0 && height >= 0 && width >= 0 &&
                        height <= image.size(-2) && top <= image.size(-2) - height &&
                        width <= image.size(-1) && left <= image.size(-1) - width,
                    "erase: expected a region within ", image.size(-2), " x ", image.size(-1),
                    ", got ", height, " x ", width, " at ", top, ", ", left);
  const std::vector<int64_t> sizes = with_sides(image, height, width);
  TORCH_CHECK_VALUE(value.defined() && at::is_expandable_to(value.sizes(), sizes),
                    "erase: expected a value that expands to ", c10::IntArrayRef(sizes), ", got ",
                    value.defined() ? value.sizes() : c10::IntArrayRef());
  Tensor result = image.clone();
  result.narrow(-2, top, height).narrow(-1, left, width).copy_(value);
  return result;
}

Tensor horizontal_flip(const Tensor& image) {
  check_image("horizontal_flip", image, 2);
  return image.flip(-1);
}

Tensor vertical_flip(const Tensor& image) {
  check_image("vertical_flip", image, 2);
  return image.flip(-2);
}

std::array<Tensor, 5> five_crop(const Tensor& image, c10::IntArrayRef size) {
  check_image("five_crop", image, 2);
  check_size("five_crop", size);
  const int64_t height = size.front();
  const int64_t width = size.back();
  const int64_t bottom = image.size(-2) - height;
  const int64_t right = image.size(-1) - width;
  TORCH_CHECK_VALUE(bottom >= 0 && right >= 0, "five_crop: expected a size within the image ",
                    image.sizes(), ", got ", size);
  const auto at = [&](int64_t top, int64_t left) {
    return crop(image, {.top = top, .left = left, .height = height, .width = width});
  };
  return {at(0, 0), at(0, right), at(bottom, 0), at(bottom, right), center_crop(image, size)};
}

Tensor center_crop(const Tensor& image, c10::IntArrayRef size) {
  check_image("center_crop", image, 2);
  check_size("center_crop", size);
  const int64_t height = size.front();
  const int64_t width = size.back();
  detail::check_result("center_crop", image, height, width);
  const int64_t more_rows = std::max<int64_t>(height - image.size(-2), 0);
  const int64_t more_columns = std::max<int64_t>(width - image.size(-1), 0);
  Tensor x = image;
  if (more_rows > 0 || more_columns > 0) {
    x = at::constant_pad_nd(
        x, {more_columns / 2, (more_columns + 1) / 2, more_rows / 2, (more_rows + 1) / 2});
  }
  return x.narrow(-2, detail::rounded_half(x.size(-2) - height), height)
      .narrow(-1, detail::rounded_half(x.size(-1) - width), width);
}

Tensor to_tensor(const Tensor& image) {
  TORCH_CHECK_VALUE(image.defined(), "to_tensor: expected an image, got an undefined tensor");
  TORCH_CHECK_VALUE(image.scalar_type() == torch::kByte,
                    "to_tensor: expected an image of type Byte, got ", image.scalar_type());
  return image.to(torch::kFloat).div_(255);
}

Tensor normalize(const Tensor& image, c10::ArrayRef<double> mean, c10::ArrayRef<double> std) {
  check_image("normalize", image);
  TORCH_CHECK_VALUE(image.is_floating_point(),
                    "normalize: expected an image of floating point, got ", image.scalar_type(),
                    "; take to_tensor() before");
  const auto check = [&](const char* what, c10::ArrayRef<double> numbers) {
    const auto count = static_cast<int64_t>(numbers.size());
    TORCH_CHECK_VALUE(count == 1 || count == image.size(-3), "normalize: expected 1 or ",
                      image.size(-3), " numbers of ", what, ", got ", count);
  };
  check("mean", mean);
  check("std", std);
  for (const double number : std) {
    TORCH_CHECK_VALUE(number != 0, "normalize: expected std other than 0, got ", std);
  }
  const auto channels = [&](c10::ArrayRef<double> numbers) {
    // LibTorch makes no tensor of half precision of a list.
    return at::tensor(numbers, torch::kDouble).to(image.options()).view({-1, 1, 1});
  };
  return image.sub(channels(mean)).div_(channels(std));
}

}  // namespace convkit::transforms

#include <convkit/boxes.h>

#include "image/image_checks.h"
#include "image/sides.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/tensor.h>
#include <c10/util/Exception.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace convkit::transforms {

using torch::Tensor;

namespace {

void check_boxes(const char* name, const BoundingBoxes& boxes) {
  const Tensor& data = boxes.data;
  TORCH_CHECK_VALUE(data.defined(), name, ": expected boxes, got an undefined tensor");
  TORCH_CHECK_VALUE(data.dim() == 2 && data.size(1) == 4, name, ": expected boxes [N, 4], got ",
                    data.sizes());
  const auto [height, width] = boxes.canvas_size;
  TORCH_CHECK_VALUE(height >= 1 && width >= 1, name, ": expected a canvas with sides >= 1, got ",
                    height, " x ", width);
  detail::check_sides(name, height, width);
}

Tensor first_two(const Tensor& data) {
  return data.narrow(-1, 0, 2);
}

Tensor last_two(const Tensor& data) {
  return data.narrow(-1, 2, 2);
}

std::optional<std::string_view> rounding(const Tensor& data) {
  if (data.is_floating_point()) return std::nullopt;
  return "floor";
}

/// Centres of whole numbers become corners in float32, whose fractions are cut off.
Tensor corners_of_centres(const Tensor& data) {
  Tensor x = data.is_floating_point() ? data.clone() : data.to(torch::kFloat);
  first_two(x).sub_(last_two(x).div(2));
  last_two(x).add_(first_two(x));
  return x.to(data.scalar_type());
}

Tensor to_xyxy(const Tensor& data, BoxFormat format) {
  if (format == BoxFormat::kXyxy) return data;
  if (format == BoxFormat::kCxcywh) return corners_of_centres(data);
  Tensor x = data.clone();
  last_two(x).add_(first_two(x));
  return x;
}

Tensor from_xyxy(const Tensor& data, BoxFormat format) {
  if (format == BoxFormat::kXyxy) return data;
  Tensor x = data.clone();
  last_two(x).sub_(first_two(x));
  if (format == BoxFormat::kCxcywh) {
    first_two(x).mul_(2).add_(last_two(x)).div_(2, rounding(x));
  }
  return x;
}

Tensor converted(const Tensor& data, BoxFormat from, BoxFormat to) {
  if (from == to) return data;
  Tensor x = data.clone();
  if (from == BoxFormat::kXywh && to == BoxFormat::kCxcywh) {
    first_two(x).add_(last_two(x).div(2, rounding(x)));
    return x;
  }
  if (from == BoxFormat::kCxcywh && to == BoxFormat::kXywh && x.is_floating_point()) {
    first_two(x).sub_(last_two(x).div(2));  // so that the sides keep their bits
    return x;
  }
  return from_xyxy(to_xyxy(data, from), to);
}

/// The boxes moved to the right and down.
BoundingBoxes moved(const BoundingBoxes& boxes, int64_t right, int64_t down,
                    const std::array<int64_t, 2>& canvas_size) {
  const bool corners = boxes.format == BoxFormat::kXyxy;
  const std::vector<int64_t> by{right, down, corners ? right : 0, corners ? down : 0};
  // LibTorch makes no tensor of half precision of a list.
  return {.data = boxes.data.add(at::tensor(by, torch::kLong).to(boxes.data.options())),
          .format = boxes.format,
          .canvas_size = canvas_size};
}

/// The boxes in the mirror along an axis: 0 for x, 1 for y.
BoundingBoxes flipped(const BoundingBoxes& boxes, int64_t axis) {
  const int64_t side = boxes.canvas_size[axis == 0 ? 1 : 0];
  BoundingBoxes result = boxes;
  Tensor x = boxes.data.clone();
  Tensor begin = x.select(-1, axis);
  Tensor end = x.select(-1, axis + 2);
  if (boxes.format == BoxFormat::kXyxy) {
    const Tensor was = begin.clone();
    begin.copy_(end).sub_(side).neg_();
    end.copy_(was).sub_(side).neg_();
  } else {
    if (boxes.format == BoxFormat::kXywh) begin.add_(end);
    begin.sub_(side).neg_();
  }
  result.data = x;
  return result;
}

}  // namespace

BoundingBoxes convert_bounding_box_format(const BoundingBoxes& boxes, BoxFormat format) {
  check_boxes("convert_bounding_box_format", boxes);
  return {.data = converted(boxes.data, boxes.format, format),
          .format = format,
          .canvas_size = boxes.canvas_size};
}

BoundingBoxes clamp_bounding_boxes(const BoundingBoxes& boxes) {
  check_boxes("clamp_bounding_boxes", boxes);
  const Tensor& data = boxes.data;
  const Tensor numbers = data.is_floating_point() ? data.clone() : data.to(torch::kFloat);
  const Tensor x = converted(numbers, boxes.format, BoxFormat::kXyxy);
  for (int64_t i = 0; i < 4; ++i) {
    x.select(-1, i).clamp_(0, boxes.canvas_size[i % 2 == 0 ? 1 : 0]);
  }
  BoundingBoxes result = boxes;
  result.data = converted(x, BoxFormat::kXyxy, boxes.format).to(data.scalar_type());
  return result;
}

std::pair<BoundingBoxes, Tensor> sanitize_bounding_boxes(const BoundingBoxes& boxes,
                                                         const SanitizeOptions& options) {
  check_boxes("sanitize_bounding_boxes", boxes);
  const Tensor x = converted(boxes.data, boxes.format, BoxFormat::kXyxy);
  const Tensor sides = last_two(x) - first_two(x);
  Tensor valid = sides.ge(options.min_size).all(-1);
  valid &= x.ge(0).all(-1);
  valid &= sides.select(-1, 0).mul(sides.select(-1, 1)).ge(options.min_area);
  for (int64_t i = 0; i < 4; ++i) {
    valid &= x.select(-1, i).le(boxes.canvas_size[i % 2 == 0 ? 1 : 0]);
  }
  BoundingBoxes result = boxes;
  result.data = boxes.data.index({valid});
  return {result, valid};
}

BoundingBoxes resize(const BoundingBoxes& boxes, c10::IntArrayRef size,
                     std::optional<int64_t> max_size) {
  check_boxes("resize", boxes);
  detail::check_size("resize", size);
  const std::array<int64_t, 2> canvas = detail::resized_sides(boxes.canvas_size, size, max_size);
  if (canvas == boxes.canvas_size) return boxes;
  const auto ratio = [&](std::size_t i) {
    return static_cast<double>(canvas[i]) / static_cast<double>(boxes.canvas_size[i]);
  };
  const std::vector<double> ratios{ratio(1), ratio(0), ratio(1), ratio(0)};
  const Tensor factors = at::tensor(ratios, boxes.data.options().dtype(torch::kFloat));
  return {.data = boxes.data.mul(factors).to(boxes.data.scalar_type()),
          .format = boxes.format,
          .canvas_size = canvas};
}

BoundingBoxes crop(const BoundingBoxes& boxes, const Region& region) {
  check_boxes("crop", boxes);
  detail::check_region(region);
  return clamp_bounding_boxes(
      moved(boxes, -region.left, -region.top, {region.height, region.width}));
}

BoundingBoxes resized_crop(const BoundingBoxes& boxes, const Region& region,
                           c10::IntArrayRef size) {
  return resize(crop(boxes, region), size);
}

BoundingBoxes pad(const BoundingBoxes& boxes, c10::IntArrayRef padding) {
  check_boxes("pad", boxes);
  const auto [left, top, right, bottom] = detail::sides_of_padding("pad", padding);
  const auto [height, width] = boxes.canvas_size;
  const std::array<int64_t, 2> canvas{top + height + bottom, left + width + right};
  detail::check_sides("pad", canvas[0], canvas[1]);
  return clamp_bounding_boxes(moved(boxes, left, top, canvas));
}

BoundingBoxes horizontal_flip(const BoundingBoxes& boxes) {
  check_boxes("horizontal_flip", boxes);
  return flipped(boxes, 0);
}

BoundingBoxes vertical_flip(const BoundingBoxes& boxes) {
  check_boxes("vertical_flip", boxes);
  return flipped(boxes, 1);
}

BoundingBoxes center_crop(const BoundingBoxes& boxes, c10::IntArrayRef size) {
  check_boxes("center_crop", boxes);
  detail::check_size("center_crop", size);
  const auto [height, width] = boxes.canvas_size;
  return crop(boxes, {.top = detail::rounded_half(height - size.front()),
                      .left = detail::rounded_half(width - size.back()),
                      .height = size.front(),
                      .width = size.back()});
}

}  // namespace convkit::transforms

#pragma once

#include <convkit/transforms.h>

#include <torch/types.h>

#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

/// Bounding boxes, and what becomes of them where their image is transformed.
namespace convkit::transforms {

/// Which four numbers a box is.
enum class BoxFormat {
  kXyxy,    ///< left, top, right, bottom
  kXywh,    ///< left, top, width, height
  kCxcywh,  ///< the centre's x and y, width, height
};

/// The boxes of an image. Every function of them throws c10::ValueError for data that is not [N, 4], and for
/// a canvas with a side below 1.
///
/// Source:  torchvision.tv_tensors.BoundingBoxes, in its mode of clamping "soft", which is its default
/// Differs: there are no rotated boxes.
struct BoundingBoxes {
  torch::Tensor data;  ///< [N, 4], of whole or floating-point numbers
  BoxFormat format = BoxFormat::kXyxy;
  std::array<int64_t, 2> canvas_size = {};  ///< the image's {height, width}
};

/// The same boxes in another format. Whole numbers stay whole, and are rounded as torchvision rounds them.
///
/// Source:  torchvision.transforms.v2.functional.convert_bounding_box_format
CONVKIT_API BoundingBoxes convert_bounding_box_format(const BoundingBoxes& boxes, BoxFormat format);

/// The boxes' parts that lie on the canvas.
///
/// Source:  torchvision.transforms.v2.functional.clamp_bounding_boxes
CONVKIT_API BoundingBoxes clamp_bounding_boxes(const BoundingBoxes& boxes);

/// Options of sanitize_bounding_boxes(): what is too small.
struct SanitizeOptions {
  double min_size = 1;  ///< of each side
  double min_area = 1;  ///< in pixels
};

/// The boxes that are on the canvas and not too small, and which ones these are: a bool for each of `boxes`, to
/// index labels and masks with.
///
/// Source:  torchvision.transforms.v2.functional.sanitize_bounding_boxes
CONVKIT_API std::pair<BoundingBoxes, torch::Tensor> sanitize_bounding_boxes(
    const BoundingBoxes& boxes, const SanitizeOptions& options = {});

/// The boxes on a canvas that is resized, as an image is by the function of the same name.
///
/// Throws:  c10::ValueError for a size and max_size that resize() of an image refuses.
/// Source:  torchvision.transforms.v2.functional.resize
CONVKIT_API BoundingBoxes resize(const BoundingBoxes& boxes, c10::IntArrayRef size,
                                 std::optional<int64_t> max_size = {});

/// The boxes on a region of the canvas, and their parts within it. Those outside become empty, and stay.
///
/// Throws:  c10::ValueError for a height or width below 1.
/// Source:  torchvision.transforms.v2.functional.crop
CONVKIT_API BoundingBoxes crop(const BoundingBoxes& boxes, const Region& region);

/// crop(), then resize().
///
/// Source:  torchvision.transforms.v2.functional.resized_crop
CONVKIT_API BoundingBoxes resized_crop(const BoundingBoxes& boxes, const Region& region,
                                       c10::IntArrayRef size);

/// The boxes on a canvas with more around it, which pad() of an image says.
///
/// Throws:  c10::ValueError for padding that pad() of an image refuses.
/// Source:  torchvision.transforms.v2.functional.pad
CONVKIT_API BoundingBoxes pad(const BoundingBoxes& boxes, c10::IntArrayRef padding);

/// The boxes on the canvas' mirror image.
///
/// Source:  torchvision.transforms.v2.functional.horizontal_flip and vertical_flip
CONVKIT_API BoundingBoxes horizontal_flip(const BoundingBoxes& boxes);
CONVKIT_API BoundingBoxes vertical_flip(const BoundingBoxes& boxes);

/// The boxes on the canvas' middle, {height, width} or {side}.
///
/// Throws:  c10::ValueError for a size that is neither, or has a side below 1.
/// Source:  torchvision.transforms.v2.functional.center_crop
/// Differs: like torchvision, where the canvas is smaller by an odd number, boxes may lie a pixel beside the
///          image's middle.
CONVKIT_API BoundingBoxes center_crop(const BoundingBoxes& boxes, c10::IntArrayRef size);

}  // namespace convkit::transforms

#pragma once

#include <convkit/boxes.h>
#include <convkit/transforms.h>

#include <torch/types.h>

#include <c10/util/ArrayRef.h>

#include <optional>

/// An image with what is known of its places.
namespace convkit::transforms {

/// What a network of detection or segmentation learns from. Every transform does the same to its parts.
///
///     T::Sample sample{.image = image,
///                      .boxes = T::BoundingBoxes{boxes, T::BoxFormat::kXyxy, {480, 640}}};
///     sample = T::random_horizontal_flip(T::random_resized_crop(sample, {224}));
///
/// Every function of it throws c10::ValueError where the image is not [..., C, H, W], the mask not
/// [..., H, W], or the boxes' canvas not {H, W}, and what the function of the same name throws for a part.
///
/// Source:  torchvision.tv_tensors.Image, or an image of Pillow's, with Mask and BoundingBoxes
struct Sample {
  torch::Tensor image;
  torch::Tensor mask = {};  ///< [H, W] or [..., H, W], of any type; undefined: there is none
  std::optional<BoundingBoxes> boxes = {};
};

/// resize() of each part, where a mask takes its nearest neighbours in the tensor's way: kNearestExact if the
/// image's interpolation is that, and else kNearest.
///
/// Source:  torchvision.transforms.v2.functional.resize
CONVKIT_API Sample resize(const Sample& sample, c10::IntArrayRef size,
                          const ResizeOptions& options = {});

/// crop() of each part.
///
/// Source:  torchvision.transforms.v2.functional.crop
CONVKIT_API Sample crop(const Sample& sample, const Region& region);

/// crop(), then resize(), where a mask takes kNearest always.
///
/// Source:  torchvision.transforms.v2.functional.resized_crop
CONVKIT_API Sample resized_crop(const Sample& sample, const Region& region, c10::IntArrayRef size,
                                const ResizeOptions& options = {});

/// pad() of each part. A mask is filled with `mask_fill`, or else with the image's fill.
///
/// Throws:  c10::ValueError for a mode other than kConstant with boxes; for a mask without a mask_fill
///          where the image's fill has several numbers.
/// Source:  torchvision.transforms.v2.functional.pad
CONVKIT_API Sample pad(const Sample& sample, c10::IntArrayRef padding,
                       const PadOptions& options = {}, std::optional<double> mask_fill = {});

/// horizontal_flip() or vertical_flip() of each part.
///
/// Source:  torchvision.transforms.v2.functional.horizontal_flip and vertical_flip
CONVKIT_API Sample horizontal_flip(const Sample& sample);
CONVKIT_API Sample vertical_flip(const Sample& sample);

/// center_crop() of each part.
///
/// Source:  torchvision.transforms.v2.functional.center_crop
CONVKIT_API Sample center_crop(const Sample& sample, c10::IntArrayRef size);

}  // namespace convkit::transforms

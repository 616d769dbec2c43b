#pragma once

#include <convkit/module.h>

#include <torch/types.h>

#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <optional>

/// What torchvision.transforms does with images. An image is a tensor [..., C, H, W].
///
///     namespace T = convkit::transforms;
///     torch::Tensor x = T::center_crop(T::resize(image, {256}), {224, 224});
///     x = T::normalize(T::to_tensor(x), {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225});
///
/// torchvision gives other pixels for an image of Pillow's than for a tensor of the same pixels.
/// Here `way` says which: by default, uint8 images are taken for Pillow's, as a photograph in Python
/// is, and other types for tensors.
namespace convkit::transforms {

/// Pillow's way has all of them, the tensor's the first four.
enum class Interpolation { kNearest, kNearestExact, kBilinear, kBicubic, kBox, kHamming, kLanczos };

/// Whose arithmetic an image is computed in.
enum class Way {
  kPillow,  ///< that of torchvision for Pillow's images: uint8 images of 1 or 3 channels
  kTensor,  ///< that of torchvision for tensors
};

struct ResizeOptions {
  Interpolation interpolation = Interpolation::kBilinear;
  std::optional<int64_t> max_size = {};  ///< of the longer side, where `size` is the shorter one
  bool antialias = true;                 ///< Pillow's way always does
  std::optional<Way> way = {};  ///< none is Pillow's for uint8, and the tensor's for others
};

/// The image at another size: {height, width}, or {shorter}, which keeps the ratio of the sides and
/// rounds the longer one down.
///
/// Shape:   image [..., C, H, W] -> [..., C, height, width]
/// Throws:  c10::ValueError for a size that is neither, or has a side below 1; for a max_size that
///          is not above the shorter side; for kBox, kHamming and kLanczos in the tensor's way; in
///          Pillow's way for an image that is not of type uint8, not on the cpu, or has neither 1 nor
///          3 channels.
/// Source:  torchvision.transforms.v2.functional.resize, which takes nearest-exact for nearest with an
///          image of Pillow's; Pillow 13, Image.resize
/// Differs: a tensor has no lanczos.
CONVKIT_API torch::Tensor resize(const torch::Tensor& image, c10::IntArrayRef size,
                                 const ResizeOptions& options = {});

/// The middle of the image, {height, width} or {side}: where the image is smaller, between zeros.
///
/// Shape:   image [..., H, W] -> [..., height, width], a view if nothing is padded
/// Throws:  c10::ValueError for a size that is neither, or has a side below 1.
/// Source:  torchvision.transforms.v2.functional.center_crop
CONVKIT_API torch::Tensor center_crop(const torch::Tensor& image, c10::IntArrayRef size);

/// image / 255, in float32.
///
/// Throws:  c10::ValueError for an image that is not of type uint8.
/// Source:  torchvision.transforms.functional.to_tensor of an image of Pillow's
CONVKIT_API torch::Tensor to_tensor(const torch::Tensor& image);

/// (image - mean) / std of each channel.
///
/// Shape:   image [..., C, H, W], C or 1 numbers -> as the image
/// Throws:  c10::ValueError for an image that is not floating point, for other counts of numbers,
///          and for a std of 0.
/// Source:  torchvision.transforms.v2.functional.normalize
CONVKIT_API torch::Tensor normalize(const torch::Tensor& image, c10::ArrayRef<double> mean,
                                    c10::ArrayRef<double> std);

}  // namespace convkit::transforms

#pragma once

#include <convkit/module.h>

#include <torch/types.h>

#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

/// What torchvision.transforms does with images. An image is a tensor [..., C, H, W].
///
///     namespace T = convkit::transforms;
///     torch::Tensor x = T::center_crop(T::resize(image, {256}), {224, 224});
///     x = T::normalize(T::to_tensor(x), {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225});
///
/// torchvision gives other pixels for an image of Pillow's than for a tensor of the same pixels.
/// Here `way` says which: by default, uint8 images are taken for Pillow's, as a photograph in Python
/// is, and other types for tensors. A side is at most 2^31 - 1 pixels long, as Pillow's are: for a
/// size, padding or region beyond, and for a result that no tensor has, functions throw c10::ValueError.
namespace convkit::transforms {

/// Pillow's way has all of them, the tensor's the first four.
enum class Interpolation { kNearest, kNearestExact, kBilinear, kBicubic, kBox, kHamming, kLanczos };

/// Whose arithmetic an image is computed in.
enum class Way {
  kPillow,  ///< that of torchvision for Pillow's images: uint8 images of 1 to 4 channels
  kTensor,  ///< that of torchvision for tensors
};

/// Options of resize().
struct ResizeOptions {
  Interpolation interpolation = Interpolation::kBilinear;
  std::optional<int64_t> max_size = {};  ///< of the longer side, where `size` is the shorter one
  bool antialias = true;                 ///< Pillow's way always does
  std::optional<Way> way = {};  ///< none is Pillow's for uint8, and the tensor's for others
};

/// The image at another size: {height, width}, or {shorter}, which keeps the ratio of the sides and
/// rounds the longer one down. In Pillow's way the last of 2 or 4 channels is alpha, as in LA and RGBA.
///
/// Shape:   image [..., C, H, W] -> [..., C, height, width]
/// Throws:  c10::ValueError for a size that is neither, or has a side below 1; for a max_size that
///          is not above the shorter side; for complex numbers; for kBox, kHamming and kLanczos in the
///          tensor's way; in Pillow's way for an image that is not of type uint8, not on the cpu, or has
///          more than 4 channels.
/// Source:  torchvision.transforms.v2.functional.resize, which takes nearest-exact for nearest with an
///          image of Pillow's; Pillow 13, Image.resize
/// Differs: a tensor has no lanczos.
CONVKIT_API torch::Tensor resize(const torch::Tensor& image, c10::IntArrayRef size,
                                 const ResizeOptions& options = {});

/// A rectangle of an image, in pixels.
struct Region {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// The pixels of a region, and zeros where it lies outside of the image.
///
/// Shape:   image [..., H, W] -> [..., region.height, region.width], a view if nothing is outside
/// Throws:  c10::ValueError for a height or width below 1.
/// Source:  torchvision.transforms.v2.functional.crop
/// Differs: a region above or left of all pixels gives zeros of its sides; torchvision gives a tensor others.
CONVKIT_API torch::Tensor crop(const torch::Tensor& image, const Region& region);

/// crop(), then resize().
///
/// Source:  torchvision.transforms.v2.functional.resized_crop
CONVKIT_API torch::Tensor resized_crop(const torch::Tensor& image, const Region& region,
                                       c10::IntArrayRef size, const ResizeOptions& options = {});

/// What stands around an image that is padded.
enum class PaddingMode {
  kConstant,   ///< `fill`
  kEdge,       ///< the nearest pixel of the image
  kReflect,    ///< the image mirrored at its outermost pixels: 3 2 | 1 2 3
  kSymmetric,  ///< the image mirrored at its edges: 2 1 | 1 2 3
};

/// Options of pad().
struct PadOptions {
  std::vector<double> fill = {0};  ///< one number, or one for each channel
  PaddingMode padding_mode = PaddingMode::kConstant;
};

/// The image with more pixels around it: {all sides}, {left and right, top and bottom}, or
/// {left, top, right, bottom}.
///
/// Shape:   image [..., C, H, W] -> [..., C, top + H + bottom, left + W + right]
/// Throws:  c10::ValueError for another count of numbers, and for negative ones; for padding by more
///          than the image has to mirror; for a fill that is not of 1 or C numbers, or of one that the
///          image's type does not have, once a whole number's fraction is cut off.
/// Source:  torchvision.transforms.v2.functional.pad
/// Differs: negative padding does not crop, and an image of Pillow's is not mirrored several times; Pillow
///          takes the nearest number for a fill that bytes do not have, and several numbers wrap in a tensor.
CONVKIT_API torch::Tensor pad(const torch::Tensor& image, c10::IntArrayRef padding,
                              const PadOptions& options = {});

/// A copy of the image whose region has `value`, which is cast to the image's type.
///
/// Shape:   image [..., C, H, W], value that expands to the region's [..., C, height, width] -> as the
///          image
/// Throws:  c10::ValueError for a region that is not within the image, and for another value's sizes.
/// Source:  torchvision.transforms.v2.functional.erase
CONVKIT_API torch::Tensor erase(const torch::Tensor& image, const Region& region,
                                const torch::Tensor& value);

/// The image with its columns, or its rows, in reverse order.
///
/// Shape:   image [..., H, W] -> as the image
/// Source:  torchvision.transforms.v2.functional.horizontal_flip and vertical_flip
CONVKIT_API torch::Tensor horizontal_flip(const torch::Tensor& image);
CONVKIT_API torch::Tensor vertical_flip(const torch::Tensor& image);

/// The middle of the image, {height, width} or {side}: where the image is smaller, between zeros.
///
/// Shape:   image [..., H, W] -> [..., height, width], a view if nothing is padded
/// Throws:  c10::ValueError for a size that is neither, or has a side below 1.
/// Source:  torchvision.transforms.v2.functional.center_crop
CONVKIT_API torch::Tensor center_crop(const torch::Tensor& image, c10::IntArrayRef size);

/// The crops at the top left, top right, bottom left and bottom right, and the one in the middle.
///
/// Shape:   image [..., H, W] -> five times [..., height, width]
/// Throws:  c10::ValueError for a size that is not {side} or {height, width} within the image.
/// Source:  torchvision.transforms.v2.functional.five_crop
CONVKIT_API std::array<torch::Tensor, 5> five_crop(const torch::Tensor& image,
                                                   c10::IntArrayRef size);

/// image / 255, in float32.
///
/// Throws:  c10::ValueError for an image that is not of type uint8.
/// Source:  torchvision.transforms.functional.to_tensor of an image of Pillow's
CONVKIT_API torch::Tensor to_tensor(const torch::Tensor& image);

/// The image in another type. With `scale`, black and white of the one become those of the other: 0 and
/// the largest number of whole numbers, 0 and 1 of floating point and bool.
///
/// Throws:  c10::ValueError for types other than uint8, signed integers, floating point and bool; with
///          `scale`, from float32 to int32 or int64 and from float64 to int64, which would lose white,
///          and between whole numbers and bool.
/// Source:  torchvision.transforms.v2.functional.to_dtype
/// Differs: there is no uint16.
CONVKIT_API torch::Tensor to_dtype(const torch::Tensor& image, torch::Dtype dtype,
                                   bool scale = false);

/// (image - mean) / std of each channel.
///
/// Shape:   image [..., C, H, W], C or 1 numbers -> as the image
/// Throws:  c10::ValueError for an image that is not floating point, for other counts of numbers,
///          and for a std of 0.
/// Source:  torchvision.transforms.v2.functional.normalize
CONVKIT_API torch::Tensor normalize(const torch::Tensor& image, c10::ArrayRef<double> mean,
                                    c10::ArrayRef<double> std);

}  // namespace convkit::transforms

#pragma once

#include <convkit/sample.h>
#include <convkit/transforms.h>

#include <ATen/core/Generator.h>
#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

/// torchvision's random transforms. They draw the numbers that torchvision.transforms.v2 draws, in its
/// order, from LibTorch's default generator or the one that is given: the same seed gives the same
/// images. A sample's parts have one draw in common. Draws are of float32, and ranges beyond it are refused.
namespace convkit::transforms {

/// horizontal_flip() or vertical_flip() with the probability p, and else the image itself.
///
/// Throws:  c10::ValueError for a p outside of 0 to 1.
/// Source:  torchvision.transforms.v2.RandomHorizontalFlip and RandomVerticalFlip
CONVKIT_API torch::Tensor random_horizontal_flip(const torch::Tensor& image, double p = 0.5,
                                                 std::optional<at::Generator> generator = {});
CONVKIT_API torch::Tensor random_vertical_flip(const torch::Tensor& image, double p = 0.5,
                                               std::optional<at::Generator> generator = {});
CONVKIT_API Sample random_horizontal_flip(const Sample& sample, double p = 0.5,
                                          std::optional<at::Generator> generator = {});
CONVKIT_API Sample random_vertical_flip(const Sample& sample, double p = 0.5,
                                        std::optional<at::Generator> generator = {});

/// Options of random_crop().
struct RandomCropOptions {
  std::vector<int64_t> padding = {};  ///< as pad() takes it, before the crop; none pads nothing
  bool pad_if_needed = false;         ///< on both sides by what the image lacks
  std::vector<double> fill = {0};
  PaddingMode padding_mode = PaddingMode::kConstant;
  std::optional<double> mask_fill = {};  ///< of a sample's mask; none is `fill`
};

/// A crop of {side} or {height, width} anywhere in the image.
///
/// Shape:   image [..., C, H, W] -> [..., C, height, width]
/// Throws:  c10::ValueError for another size, and for one above the padded image's; what pad() throws.
/// Source:  torchvision.transforms.v2.RandomCrop
CONVKIT_API torch::Tensor random_crop(const torch::Tensor& image, c10::IntArrayRef size,
                                      const RandomCropOptions& options = {},
                                      std::optional<at::Generator> generator = {});
CONVKIT_API Sample random_crop(const Sample& sample, c10::IntArrayRef size,
                               const RandomCropOptions& options = {},
                               std::optional<at::Generator> generator = {});

/// Options of random_resized_crop().
struct RandomResizedCropOptions {
  std::array<double, 2> scale = {0.08, 1};           ///< of the image's area, from least to most
  std::array<double, 2> ratio = {3.0 / 4, 4.0 / 3};  ///< of the width to the height
  Interpolation interpolation = Interpolation::kBilinear;
  bool antialias = true;
  std::optional<Way> way = {};  ///< as resize() takes it
};

/// A crop of random area and ratio of its sides, resized to {side} or {height, width}. After ten draws
/// that do not fit into the image it is the middle.
///
/// Shape:   image [..., C, H, W] -> [..., C, height, width]
/// Throws:  c10::ValueError for a scale that is not 0 <= least <= most, and a ratio that is not
///          0 < least <= most; for an image so small that its middle has no pixel; what resize()
///          throws.
/// Source:  torchvision.transforms.v2.RandomResizedCrop; https://arxiv.org/abs/1409.4842
CONVKIT_API torch::Tensor random_resized_crop(const torch::Tensor& image, c10::IntArrayRef size,
                                              const RandomResizedCropOptions& options = {},
                                              std::optional<at::Generator> generator = {});
CONVKIT_API Sample random_resized_crop(const Sample& sample, c10::IntArrayRef size,
                                       const RandomResizedCropOptions& options = {},
                                       std::optional<at::Generator> generator = {});

}  // namespace convkit::transforms

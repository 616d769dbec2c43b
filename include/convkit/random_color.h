#pragma once

#include <convkit/color.h>

#include <ATen/core/Generator.h>
#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

/// torchvision's random colors. They draw the numbers that torchvision.transforms.v2 draws, in its order,
/// from LibTorch's default generator or the one that is given: the same seed gives the same images. Draws
/// are of float32, and ranges beyond it are refused.
namespace convkit::transforms {

/// How far each may change: {most} is a factor from 1 - most, but not below 0, to 1 + most, or a hue
/// from -most to most; {least, most} is that range; none changes nothing, and draws nothing.
struct ColorJitterOptions {
  std::vector<double> brightness = {};
  std::vector<double> contrast = {};
  std::vector<double> saturation = {};
  std::vector<double> hue = {};
  std::optional<Way> way = {};  ///< as adjust_contrast() takes it
};

/// adjust_brightness(), adjust_contrast(), adjust_saturation() and adjust_hue() in random order, by
/// factors that are drawn from their ranges.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of numbers; for a range below 0 or that does not rise; for
///          hues beyond -0.5 to 0.5; what the four throw.
/// Source:  torchvision.transforms.v2.ColorJitter
CONVKIT_API torch::Tensor color_jitter(const torch::Tensor& image,
                                       const ColorJitterOptions& options,
                                       std::optional<at::Generator> generator = {});

/// The functions of color.h with the probability p, and else the image itself. The grayscale has as many
/// channels as the image.
///
/// Throws:  c10::ValueError for a p outside of 0 to 1; what the functions throw, if they are called.
/// Source:  torchvision.transforms.v2.RandomGrayscale, RandomInvert, RandomPosterize, RandomSolarize,
///          RandomAutocontrast, RandomEqualize and RandomAdjustSharpness
CONVKIT_API torch::Tensor random_grayscale(const torch::Tensor& image, double p = 0.1,
                                           std::optional<at::Generator> generator = {},
                                           std::optional<Way> way = {});
CONVKIT_API torch::Tensor random_invert(const torch::Tensor& image, double p = 0.5,
                                        std::optional<at::Generator> generator = {});
CONVKIT_API torch::Tensor random_posterize(const torch::Tensor& image, int64_t bits, double p = 0.5,
                                           std::optional<at::Generator> generator = {});
CONVKIT_API torch::Tensor random_solarize(const torch::Tensor& image, double threshold,
                                          double p = 0.5,
                                          std::optional<at::Generator> generator = {});
CONVKIT_API torch::Tensor random_autocontrast(const torch::Tensor& image, double p = 0.5,
                                              std::optional<at::Generator> generator = {},
                                              std::optional<Way> way = {});
CONVKIT_API torch::Tensor random_equalize(const torch::Tensor& image, double p = 0.5,
                                          std::optional<at::Generator> generator = {});
CONVKIT_API torch::Tensor random_adjust_sharpness(const torch::Tensor& image, double factor,
                                                  double p = 0.5,
                                                  std::optional<at::Generator> generator = {},
                                                  std::optional<Way> way = {});

/// gaussian_blur() by a sigma between the two.
///
/// Shape:   image [..., C, H, W] -> as the image
/// Throws:  c10::ValueError for a sigma that is not 0 < least <= most; what gaussian_blur() throws.
/// Source:  torchvision.transforms.v2.GaussianBlur
CONVKIT_API torch::Tensor random_gaussian_blur(const torch::Tensor& image,
                                               c10::IntArrayRef kernel_size,
                                               std::array<double, 2> sigma = {0.1, 2},
                                               std::optional<at::Generator> generator = {});

/// Options of random_erasing().
struct RandomErasingOptions {
  double p = 0.5;
  std::array<double, 2> scale = {0.02, 0.33};  ///< of the image's area, from least to most
  std::array<double, 2> ratio = {0.3, 3.3};    ///< of the height to the width
  std::vector<double> value = {
      0};  ///< one, or one for each channel; none are normal random numbers
};

/// erase() of a region of random area and ratio of its sides, with the probability p. After ten draws
/// that do not fit into the image it is left as it is.
///
/// Shape:   image [..., C, H, W] -> as the image
/// Throws:  c10::ValueError for a p outside of 0 to 1; for a scale that is not 0 <= least <= most <= 1,
///          and a ratio that is not 0 < least <= most; for another count of values.
/// Source:  torchvision.transforms.v2.RandomErasing; https://arxiv.org/abs/1708.04896
CONVKIT_API torch::Tensor random_erasing(const torch::Tensor& image,
                                         const RandomErasingOptions& options = {},
                                         std::optional<at::Generator> generator = {});

}  // namespace convkit::transforms

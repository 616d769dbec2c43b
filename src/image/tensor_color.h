#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>

/// The arithmetic of torchvision for tensors [..., C, H, W]: the same operators in the same order, since
/// the last bits depend on both.
namespace convkit::detail {

/// The weighted sum of three channels; of type float32 for whole numbers, which are not rounded.
torch::Tensor tensor_grayscale(const torch::Tensor& image);

/// factor * image + (1 - factor) * other, within the range of the image's type.
torch::Tensor tensor_blend(const torch::Tensor& image, const torch::Tensor& other, double factor);

/// What the image is mixed with for less contrast: the mean of its grayscale.
torch::Tensor tensor_mean(const torch::Tensor& image);

/// The image with three channels of float32, whose hues are turned by `factor` of the circle.
torch::Tensor tensor_turned(const torch::Tensor& image, double factor);

torch::Tensor tensor_autocontrast(const torch::Tensor& image);
torch::Tensor tensor_equalize(const torch::Tensor& image);  // of uint8
torch::Tensor tensor_sharpness(const torch::Tensor& image, double factor);

/// The image of floating point, filtered by the product of two Gaussians.
torch::Tensor tensor_blur(const torch::Tensor& image, std::array<int64_t, 2> kernel_size,
                          std::array<double, 2> sigma);

}  // namespace convkit::detail

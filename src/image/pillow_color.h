#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>

/// The arithmetic of Pillow's images, for tensors [..., C, H, W] of uint8 on the cpu.
namespace convkit::detail {

/// Pillow's Image.convert("L") of three channels.
torch::Tensor pillow_grayscale(const torch::Tensor& image);

/// Pillow's Image.blend(other, image, factor); `other` has the image's sizes, or 1 for some.
torch::Tensor pillow_blend(const torch::Tensor& other, const torch::Tensor& image, double factor);

/// The whole number next to the mean of each image's grayscale, [..., 1, 1, 1].
torch::Tensor pillow_mean(const torch::Tensor& image);

/// The image with three channels, whose hues of 8 bits are larger by `turn`, and begin anew at 256.
torch::Tensor pillow_turned(const torch::Tensor& image, uint8_t turn);

/// The image smoothed by Pillow's ImageFilter.SMOOTH, which leaves the border as it is.
torch::Tensor pillow_smooth(const torch::Tensor& image);

/// The image with 256 numbers of a table instead of its own.
torch::Tensor pillow_mapped(const torch::Tensor& image, const std::array<uint8_t, 256>& table);

/// Pillow's ImageOps.autocontrast().
torch::Tensor pillow_autocontrast(const torch::Tensor& image);

}  // namespace convkit::detail

#pragma once

#include <torch/nn/options/conv.h>
#include <torch/types.h>

#include <cstdint>

/// Every module refuses the same values, in one wording: `ConvBlock: expected stride >= 1, got 0`.
/// LibTorch accepts some of them silently (a stride of 2^62 wraps to a shape) and explains the rest
/// only in forward, or without the value.
namespace convkit::detail {

/// Throws c10::ValueError unless 1 <= value <= int32.
void check_positive(const char* module, const char* option, int64_t value);
void check_positive(const char* module, const char* option, const torch::ExpandingArray<2>& values);

/// Throws c10::ValueError unless 0 <= value <= 1.
void check_probability(const char* module, const char* option, double value);

/// Throws c10::ValueError unless eps >= 0. Of torch's own norms BatchNorm2d refuses another one in
/// forward, and the others give NaN.
void check_eps(const char* module, double eps);

/// Returns the options themselves, once every one of them is known to be sound.
torch::nn::Conv2dOptions checked(const char* module, torch::nn::Conv2dOptions options);
torch::nn::Conv3dOptions checked(const char* module, torch::nn::Conv3dOptions options);
torch::nn::ConvTranspose2dOptions checked(const char* module,
                                          torch::nn::ConvTranspose2dOptions options);

/// Whether a module takes images without a batch dimension, as torch's convolutions do.
enum class Batch { kRequired, kOptional };

/// Throws c10::ValueError unless x is [N, channels, H, W] (or [channels, H, W]) and of the type and
/// on the device of `weight`, where there is one. Autocast converts the type itself.
void check_input(const char* module, const torch::Tensor& x, int64_t channels, Batch batch,
                 const torch::Tensor& weight);

/// Throws c10::ValueError unless x, whose height and width are its dimensions `spatial`, has pixels
/// and is of the type and on the device of `weight`; the part of check_input() after the shape.
void check_pixels(const char* module, const torch::Tensor& x, torch::IntArrayRef spatial,
                  const torch::Tensor& weight);

/// Throws c10::ValueError unless x is of the type and on the device of `weight`.
void check_type(const char* module, const torch::Tensor& x, const torch::Tensor& weight);

/// Throws c10::ValueError unless x is [N, channels, T, H, W] and of the type and on the device of
/// `weight`.
void check_video(const char* module, const torch::Tensor& x, int64_t channels,
                 const torch::Tensor& weight);

/// Throws c10::ValueError unless x is [N, C, H, W] (or [C, H, W]), for a module that takes any
/// number of channels and has no weight.
void check_image(const char* module, const torch::Tensor& x, Batch batch = Batch::kOptional);

}  // namespace convkit::detail

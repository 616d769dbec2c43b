#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/conv.h>

#include <cstdint>

namespace convkit {

/// How an Upsampler makes an image larger.
enum class UpsampleMode {
  kTransposed,  ///< a transposed convolution, which learns to interpolate
};

/// Options of Upsampler.
struct CONVKIT_API UpsamplerOptions {
  UpsamplerOptions(int64_t in_channels, int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(int64_t, scale_factor) = 2;
  TORCH_ARG(UpsampleMode, mode) = UpsampleMode::kTransposed;
  TORCH_ARG(bool, bias) = true;
};

/// y = conv(x), s = scale_factor times as high and as wide.
///
/// The transposed convolution has kernel_size 2 s - s % 2, that of a bilinear interpolation by s,
/// stride s and padding ceil((s - 1) / 2): for s = 2 the usual (4, 2, 1).
///
/// Shape:   x [N, in_channels, H, W] or without N -> y [N, out_channels, s H, s W]
/// Keys:    conv.{weight,bias}, weight [in_channels, out_channels, kernel_size, kernel_size]
/// Throws:  c10::ValueError for a channel count or scale_factor below 1 or above int32, and for an
///          input of another rank or channel count.
/// Source:  the Q&A's upconv, torch.nn.ConvTranspose2d, for every s
class CONVKIT_API UpsamplerImpl : public Block<UpsamplerImpl> {
 public:
  explicit UpsamplerImpl(UpsamplerOptions options);
  UpsamplerImpl(int64_t in_channels, int64_t out_channels)
      : UpsamplerImpl(UpsamplerOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  UpsamplerOptions options;
  torch::nn::ConvTranspose2d conv{nullptr};
};
CONVKIT_MODULE(Upsampler);

}  // namespace convkit

#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <ostream>

namespace convkit {

/// How an image is made larger.
enum class UpsampleMode {
  kTransposed,    ///< a transposed convolution, which learns to interpolate
  kNearest,       ///< interpolation, then a 3x3 convolution: "nearest" of torch.nn.functional
  kNearestExact,  ///< "nearest-exact"
  kBilinear,      ///< "bilinear", align_corners=False
  kBicubic,       ///< "bicubic", align_corners=False
  kPixelShuffle,  ///< a 3x3 convolution to s^2 times the channels, then torch.nn.PixelShuffle
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

/// Makes an image s = scale_factor times as high and as wide, by one convolution `conv` in every
/// mode:
///
/// - transposed: y = conv(x), ConvTranspose2d with kernel_size 2 s - s % 2, that of a bilinear
///   interpolation by s, stride s and padding ceil((s - 1) / 2): for s = 2 the usual (4, 2, 1).
/// - nearest, nearest-exact, bilinear, bicubic: y = conv(interpolate(x)), 3x3 with padding 1.
/// - pixel shuffle: y = pixel_shuffle(conv(x)), 3x3 with padding 1 to out_channels s^2 channels,
///   its bias 0 and its weight by `icnr_`: no checkerboard at the start of training.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, s H, s W]
/// Keys:    conv.{weight,bias}
/// Throws:  c10::ValueError for a channel count or scale_factor below 1, for one that makes a
///          kernel_size or channel count above int32, and for an input of another rank, channel
///          count, type or device.
/// Source:  convkit's own, made of torch.nn's parts: the Q&A's upconv and its alternatives
class CONVKIT_API UpsamplerImpl : public Block<UpsamplerImpl> {
 public:
  explicit UpsamplerImpl(UpsamplerOptions options);
  UpsamplerImpl(int64_t in_channels, int64_t out_channels)
      : UpsamplerImpl(UpsamplerOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  /// The child `conv`: a ConvTranspose2d in the transposed mode, else a Conv2d; the other is empty.
  torch::nn::ConvTranspose2d conv_transpose{nullptr};
  torch::nn::Conv2d conv{nullptr};
  UpsamplerOptions options;
};
CONVKIT_MODULE(Upsampler);

/// Interpolates x to the height and width of `reference`, whatever their ratio: the step before an
/// addition or concatenation with a larger map.
///
/// Shape:   x [N, C, H, W], reference [..., H', W'] -> [N, C, H', W']
/// Throws:  c10::ValueError for another rank, a height or width of 0, and for the modes that need a
///          convolution.
/// Source:  torch.nn.functional.interpolate(x, size=reference.shape[-2:], mode=mode)
CONVKIT_API torch::Tensor upsample_like(const torch::Tensor& x, const torch::Tensor& reference,
                                        UpsampleMode mode = UpsampleMode::kNearest);

}  // namespace convkit

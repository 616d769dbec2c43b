#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/conv.h>
#include <torch/nn/options/upsampling.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <vector>

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
/// Picture: apps/qa/pictures/q6_transposed.svg
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

/// Options of Upsample: either a size or a scale_factor, of one number for all axes or of one for
/// each. `align_corners` is for the modes that weigh pixels; `recompute_scale_factor` has these
/// follow from the whole sizes.
struct CONVKIT_API UpsampleOptions {
  using mode_t = torch::nn::functional::InterpolateFuncOptions::mode_t;

  TORCH_ARG(std::vector<int64_t>, size) = {};
  TORCH_ARG(std::vector<double>, scale_factor) = {};
  TORCH_ARG(mode_t, mode) = torch::kNearest;
  TORCH_ARG(std::optional<bool>, align_corners) = std::nullopt;
  TORCH_ARG(bool, recompute_scale_factor) = false;
};

/// y = interpolate(x). LibTorch's own Upsample has no kNearestExact nor kArea, takes no single
/// number, and warns of whatever scale is no whole number.
///
/// Shape:   x [N, C, L], [N, C, H, W] or [N, C, D, H, W] -> y of the size, or floor(scale_factor *
///          that of x)
/// Throws:  c10::ValueError for both a size and a scale_factor or none of them, and for another
///          count of numbers than x has axes.
/// Source:  torch.nn.Upsample; torch.nn.UpsamplingNearest2d, and with torch::kBilinear and
///          align_corners torch.nn.UpsamplingBilinear2d
class CONVKIT_API UpsampleImpl : public Block<UpsampleImpl> {
 public:
  explicit UpsampleImpl(UpsampleOptions options);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  UpsampleOptions options;
};
CONVKIT_MODULE(Upsample);

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

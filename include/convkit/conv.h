#pragma once

#include <convkit/module.h>

#include <torch/expanding_array.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <optional>
#include <ostream>

/// The five kinds of convolution of the Q&A, each a torch::nn::Conv2d with a bias. For another
/// kernel size, groups or padding mode there is torch::nn::Conv2dOptions.
///
/// Shape:   x [N, in_channels, H, W] or [in_channels, H, W]
/// Keys:    weight, bias
/// Throws:  c10::ValueError for a channel count, stride or dilation below 1 or above int32.
/// Source:  torch.nn.Conv2d with the settings of the Q&A's question 3
namespace convkit {

/// 3x3, stride 1, padding 1: y [N, out_channels, H, W].
///
/// Picture: apps/qa/pictures/q3_standard.svg
CONVKIT_API torch::nn::Conv2d standard_conv2d(int64_t in_channels, int64_t out_channels);

/// 3x3, padding 1: y [N, out_channels, ceil(H / stride), ceil(W / stride)].
///
/// Picture: apps/qa/pictures/q3_strided.svg
CONVKIT_API torch::nn::Conv2d strided_conv2d(int64_t in_channels, int64_t out_channels,
                                             int64_t stride = 2);

/// 3x3 over 2 dilation + 1 pixels, padding = dilation: y [N, out_channels, H, W].
///
/// Picture: apps/qa/pictures/q3_dilated.svg
CONVKIT_API torch::nn::Conv2d dilated_conv2d(int64_t in_channels, int64_t out_channels,
                                             int64_t dilation = 2);

/// 3x3, padding 1, one filter a channel (groups = channels): y [N, channels, H, W].
CONVKIT_API torch::nn::Conv2d depthwise_conv2d(int64_t channels);

/// 1x1, mixes the channels of each pixel: y [N, out_channels, H, W].
CONVKIT_API torch::nn::Conv2d pointwise_conv2d(int64_t in_channels, int64_t out_channels);

/// Options of StdConv2d; kernel_size, stride, padding and dilation take one number or {height,
/// width}.
struct CONVKIT_API StdConv2dOptions {
  using padding_t = torch::nn::Conv2dOptions::padding_t;

  StdConv2dOptions(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size)
      : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Numbers, torch::kSame or torch::kValid; by default it is
  /// floor((stride - 1 + dilation (kernel_size - 1)) / 2).
  TORCH_ARG(std::optional<padding_t>, padding) = std::nullopt;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(bool, bias) = false;
  TORCH_ARG(double, eps) = 1e-6;
};

/// y = conv2d(x, (weight - mean) / sqrt(var + eps), bias): each filter standardised by its own mean
/// and variance.
///
/// Shape:   x [N, in_channels, H, W] or without N -> y [N, out_channels, H', W'], as of Conv2d
/// Keys:    weight, bias
/// Throws:  c10::ValueError for what torch::nn::Conv2d cannot be made of, a filter of one number,
///          and for an input of another rank, channel count, type or device.
/// Source:  timm.layers.StdConv2d; https://arxiv.org/abs/1903.10520
class CONVKIT_API StdConv2dImpl : public Block<StdConv2dImpl> {
 public:
  explicit StdConv2dImpl(StdConv2dOptions options);
  StdConv2dImpl(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size)
      : StdConv2dImpl(StdConv2dOptions(in_channels, out_channels, kernel_size)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  StdConv2dOptions options;
  torch::Tensor weight;
  torch::Tensor bias;

 private:
  torch::nn::Conv2dOptions conv_options_{1, 1, 1};
};
CONVKIT_MODULE(StdConv2d);

/// Options of ScaledStdConv2d: those of StdConv2d, with a bias, and what scales the filters.
struct CONVKIT_API ScaledStdConv2dOptions {
  using padding_t = torch::nn::Conv2dOptions::padding_t;

  ScaledStdConv2dOptions(int64_t in_channels, int64_t out_channels,
                         torch::ExpandingArray<2> kernel_size)
      : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Numbers, torch::kSame or torch::kValid; by default it is
  /// floor((stride - 1 + dilation (kernel_size - 1)) / 2).
  TORCH_ARG(std::optional<padding_t>, padding) = std::nullopt;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(bool, bias) = true;
  TORCH_ARG(double, gamma) = 1;
  TORCH_ARG(double, eps) = 1e-6;
  TORCH_ARG(double, gain_init) = 1;
};

/// y = conv2d(x, gain gamma / sqrt(n) (weight - mean) / sqrt(var + eps), bias), n the numbers of a
/// filter.
///
/// Shape:   x [N, in_channels, H, W] or without N -> y [N, out_channels, H', W'], as of Conv2d
/// Keys:    weight, bias, gain [out_channels, 1, 1, 1]
/// Throws:  as StdConv2d.
/// Source:  timm.layers.ScaledStdConv2d; https://arxiv.org/abs/2101.08692
class CONVKIT_API ScaledStdConv2dImpl : public Block<ScaledStdConv2dImpl> {
 public:
  explicit ScaledStdConv2dImpl(ScaledStdConv2dOptions options);
  ScaledStdConv2dImpl(int64_t in_channels, int64_t out_channels,
                      torch::ExpandingArray<2> kernel_size)
      : ScaledStdConv2dImpl(ScaledStdConv2dOptions(in_channels, out_channels, kernel_size)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  ScaledStdConv2dOptions options;
  torch::Tensor weight;
  torch::Tensor bias;
  torch::Tensor gain;

 private:
  torch::nn::Conv2dOptions conv_options_{1, 1, 1};
};
CONVKIT_MODULE(ScaledStdConv2d);

}  // namespace convkit

#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <initializer_list>

namespace convkit {

/// Options of SeparableConv2d; kernel_size, stride, padding and dilation take one number or
/// {height, width} and belong to the depthwise convolution.
struct CONVKIT_API SeparableConv2dOptions {
  using padding_t = torch::nn::Conv2dOptions::padding_t;

  SeparableConv2dOptions(int64_t in_channels, int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size) = 3;
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Numbers, torch::kSame (with stride 1) or torch::kValid.
  TORCH_ARG(padding_t, padding) = 1;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  /// How many filters each input channel has: between the two convolutions there are
  /// in_channels * depth_multiplier channels, those of the first input channel first.
  TORCH_ARG(int64_t, depth_multiplier) = 1;
  TORCH_ARG(bool, depthwise_bias) = true;
  TORCH_ARG(bool, pointwise_bias) = true;

 public:
  /// The same as {height, width}.
  SeparableConv2dOptions& padding(std::initializer_list<int64_t> height_width) {
    return padding(torch::ExpandingArray<2>(height_width));
  }
};

/// y = pointwise(depthwise(x)): one filter (or more) for each channel, then a 1x1 convolution.
///
/// Shape:   x [N, in_channels, H, W] or without N -> y [N, out_channels, H', W'],
///          H' = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1
/// Keys:    depthwise.{weight,bias} pointwise.{weight,bias}
/// Throws:  c10::ValueError for a channel count, kernel_size, stride, dilation or depth_multiplier
///          below 1, a negative padding, any of them above int32, padding torch::kSame with a
///          stride, and for an input of another rank, channel count, type or device.
/// Source:  the Q&A's SeparableConv2d; Keras for depth_multiplier
/// Differs: smp's is a Sequential with keys 0 and 1, timm's has conv_dw and conv_pw; neither has a
///          depthwise bias.
class CONVKIT_API SeparableConv2dImpl : public Block<SeparableConv2dImpl> {
 public:
  explicit SeparableConv2dImpl(SeparableConv2dOptions options);
  SeparableConv2dImpl(int64_t in_channels, int64_t out_channels)
      : SeparableConv2dImpl(SeparableConv2dOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  SeparableConv2dOptions options;
  torch::nn::Conv2d depthwise{nullptr};
  torch::nn::Conv2d pointwise{nullptr};
};
CONVKIT_MODULE(SeparableConv2d);

}  // namespace convkit

#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <initializer_list>

namespace convkit {

/// Options of ConvBlock; kernel_size, stride and padding take one number or {height, width}.
struct CONVKIT_API ConvBlockOptions {
  using padding_t = torch::nn::Conv2dOptions::padding_t;

  ConvBlockOptions(int64_t in_channels, int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size) = 3;
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Also torch::kSame (with stride 1) and torch::kValid.
  TORCH_ARG(padding_t, padding) = 1;

 public:
  ConvBlockOptions& padding(std::initializer_list<int64_t> height_width) {
    return padding(torch::ExpandingArray<2>(height_width));
  }
};

/// y = relu(bn(conv(x))). The ReLU works in place on bn's output.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, H', W'],
///          H' = floor((H + 2 padding - kernel_size) / stride) + 1
/// Keys:    conv.{weight,bias} bn.{weight,bias,running_mean,running_var,num_batches_tracked}
/// Throws:  c10::ValueError for a channel count, kernel_size or stride below 1, a negative padding,
///          any of them above int32, padding torch::kSame with a stride, and for an input that is
///          not [N, in_channels, H, W] of the weights' type and device.
/// Source:  the Q&A's ConvBlock
class CONVKIT_API ConvBlockImpl : public Block<ConvBlockImpl> {
 public:
  explicit ConvBlockImpl(ConvBlockOptions options);
  ConvBlockImpl(int64_t in_channels, int64_t out_channels)
      : ConvBlockImpl(ConvBlockOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  ConvBlockOptions options;
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  torch::nn::ReLU relu{nullptr};
};
CONVKIT_MODULE(ConvBlock);

}  // namespace convkit

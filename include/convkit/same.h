#pragma once

#include <convkit/module.h>

#include <torch/expanding_array.h>
#include <torch/nn/options/conv.h>

#include <cstdint>
#include <ostream>

namespace convkit {

/// Pads height and width by what SAME asks for: the layer after it gives ceil(size / stride).
///
/// Each axis gets max((ceil(size / stride) - 1) stride + dilation (kernel_size - 1) + 1 - size, 0)
/// values, half of them before, and the odd one after (right, bottom).
///
/// Picture: apps/qa/pictures/q4_same.svg
/// Shape:   x [..., H, W] -> [..., H + zeros, W + zeros]
/// Throws:  c10::ValueError for a kernel_size, stride or dilation below 1 or above int32, and for
///          an x without two dimensions of at least 1.
/// Source:  timm.layers.padding.pad_same; TensorFlow's SAME
CONVKIT_API torch::Tensor pad_same(const torch::Tensor& x, torch::ExpandingArray<2> kernel_size,
                                   torch::ExpandingArray<2> stride,
                                   torch::ExpandingArray<2> dilation = 1, double value = 0);

/// The options of Conv2dSame are those of torch::nn::Conv2d; a padding is refused.
using Conv2dSameOptions = torch::nn::Conv2dOptions;

/// y = conv2d(pad_same(x)): SAME for every stride and dilation, where torch::kSame has only
/// stride 1. The padding repeats x as padding_mode says, for kernels that are not square too.
///
/// Shape:   x [N, in_channels, H, W] or without N -> y [N, out_channels, ceil(H / stride), ...]
/// Keys:    weight, bias
/// Throws:  c10::ValueError for a channel count, kernel_size, stride, dilation or groups below 1 or
///          above int32, channels not divisible by groups, a padding other than 0, and for an input
///          of another rank, channel count, type or device.
/// Source:  timm.layers.Conv2dSame
/// Differs: timm pads with zeros alone, and ignores a padding that it is given. Keras pads alike.
class CONVKIT_API Conv2dSameImpl : public Block<Conv2dSameImpl> {
 public:
  explicit Conv2dSameImpl(Conv2dSameOptions options);
  Conv2dSameImpl(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size)
      : Conv2dSameImpl(Conv2dSameOptions(in_channels, out_channels, kernel_size)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  Conv2dSameOptions options;
  torch::Tensor weight;
  torch::Tensor bias;
};
CONVKIT_MODULE(Conv2dSame);

/// Options of MaxPool2dSame; the stride is the kernel_size unless it is given.
struct CONVKIT_API MaxPool2dSameOptions {
  explicit MaxPool2dSameOptions(torch::ExpandingArray<2> kernel_size)
      : kernel_size_(kernel_size), stride_(kernel_size) {}

  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride);
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
};

/// y = max_pool2d(pad_same(x)), padded with -inf, which is the maximum only where a dilated window
/// sees nothing but padding.
///
/// Shape:   x [N, C, H, W] or without N -> y [N, C, ceil(H / stride), ceil(W / stride)]
/// Keys:    none
/// Throws:  c10::ValueError for a kernel_size, stride or dilation below 1 or above int32, and for
///          an input of another rank.
/// Source:  timm.layers.pool2d_same.MaxPool2dSame
/// Differs: no ceil_mode, which SAME leaves nothing to do.
class CONVKIT_API MaxPool2dSameImpl : public Block<MaxPool2dSameImpl> {
 public:
  explicit MaxPool2dSameImpl(MaxPool2dSameOptions options);
  explicit MaxPool2dSameImpl(torch::ExpandingArray<2> kernel_size)
      : MaxPool2dSameImpl(MaxPool2dSameOptions(kernel_size)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  MaxPool2dSameOptions options;
};
CONVKIT_MODULE(MaxPool2dSame);

/// Options of AvgPool2dSame; the stride is the kernel_size unless it is given.
struct CONVKIT_API AvgPool2dSameOptions {
  explicit AvgPool2dSameOptions(torch::ExpandingArray<2> kernel_size)
      : kernel_size_(kernel_size), stride_(kernel_size) {}

  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride);
};

/// y = avg_pool2d(pad_same(x)); the padded zeros count in the average.
///
/// Shape:   x [N, C, H, W] or without N -> y [N, C, ceil(H / stride), ceil(W / stride)]
/// Keys:    none
/// Throws:  c10::ValueError for a kernel_size or stride below 1 or above int32, and for an input of
///          another rank.
/// Source:  timm.layers.pool2d_same.AvgPool2dSame
/// Differs: no ceil_mode and count_include_pad, which SAME leaves nothing to do. Keras leaves the
///          padding out of the average: its borders are larger.
class CONVKIT_API AvgPool2dSameImpl : public Block<AvgPool2dSameImpl> {
 public:
  explicit AvgPool2dSameImpl(AvgPool2dSameOptions options);
  explicit AvgPool2dSameImpl(torch::ExpandingArray<2> kernel_size)
      : AvgPool2dSameImpl(AvgPool2dSameOptions(kernel_size)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  AvgPool2dSameOptions options;
};
CONVKIT_MODULE(AvgPool2dSame);

}  // namespace convkit

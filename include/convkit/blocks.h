#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>
#include <convkit/norm.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

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
  /// Numbers, torch::kSame (with stride 1) or torch::kValid.
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

/// Options of Conv2dNormActivation; kernel_size, stride, padding and dilation take one number or
/// {height, width}.
struct CONVKIT_API Conv2dNormActivationOptions {
  using padding_t = torch::nn::Conv2dOptions::padding_t;

  Conv2dNormActivationOptions(int64_t in_channels, int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size) = 3;
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  /// Numbers, torch::kSame or torch::kValid; by default it is floor((kernel_size - 1) / 2)
  /// dilation.
  TORCH_ARG(std::optional<padding_t>, padding) = std::nullopt;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(Norm, norm) = Norm();
  TORCH_ARG(Activation, activation) = Activation();
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  /// Whether the activation overwrites its input, if it has a form that does.
  TORCH_ARG(bool, inplace) = true;
  /// By default the convolution has a bias where there is no norm.
  TORCH_ARG(std::optional<bool>, bias) = std::nullopt;

 public:
  Conv2dNormActivationOptions& padding(std::initializer_list<int64_t> height_width) {
    return padding(padding_t(torch::ExpandingArray<2>(height_width)));
  }
};

/// y = activation(norm(conv(x))). The activation and the norm may be kNone.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, H', W'], as of torch::nn::Conv2d
/// Keys:    0.weight, 0.bias; 1.* of the norm; then a PReLU's. The children that there are count:
///          without a norm the activation is 1.
/// Throws:  c10::ValueError for a channel count, kernel_size, stride, dilation or groups below 1, a
///          negative padding, any of them above int32, channels not divisible by groups, and for an
///          input that is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  torchvision.ops.Conv2dNormActivation
/// Differs: inplace is no error for activations that have no such form.
class CONVKIT_API Conv2dNormActivationImpl : public Block<Conv2dNormActivationImpl> {
 public:
  explicit Conv2dNormActivationImpl(Conv2dNormActivationOptions options);
  Conv2dNormActivationImpl(int64_t in_channels, int64_t out_channels)
      : Conv2dNormActivationImpl(Conv2dNormActivationOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  Conv2dNormActivationOptions options;
  torch::nn::Conv2d conv{nullptr};
  std::shared_ptr<torch::nn::Module> norm;        ///< null without one
  std::shared_ptr<torch::nn::Module> activation;  ///< null without one
};
CONVKIT_MODULE(Conv2dNormActivation);

/// What StochasticDepth drops: the whole batch, or single rows of it.
enum class StochasticDepthMode { kBatch, kRow };

/// y = 0 with probability p, else x / (1 - p), in training; y = x, and no random number, in eval
/// mode and for p = 0.
///
/// Shape:   that of x, [N, ...]
/// Throws:  c10::ValueError for p outside [0, 1].
/// Source:  torchvision.ops.StochasticDepth; https://arxiv.org/abs/1603.09382
class CONVKIT_API StochasticDepthImpl : public Block<StochasticDepthImpl> {
 public:
  StochasticDepthImpl(double p, StochasticDepthMode mode);

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override;

  double p;
  StochasticDepthMode mode;
};
CONVKIT_MODULE(StochasticDepth);

/// y = x.permute(dims): a Sequential's step from [N, C, H, W] to [N, H, W, C], and back.
///
/// Shape:   that of x, its dimensions in the order of dims
/// Throws:  c10::Error where dims are not all of x's.
/// Source:  torchvision.ops.Permute
class CONVKIT_API PermuteImpl : public Block<PermuteImpl> {
 public:
  explicit PermuteImpl(std::vector<int64_t> dims);

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override;

  std::vector<int64_t> dims;
};
CONVKIT_MODULE(Permute);

}  // namespace convkit

#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>
#include <convkit/norm.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <utility>
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
  /// The same as {height, width}.
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

/// Options of Conv2dNormActivation (D = 2) and Conv3dNormActivation (D = 3); kernel_size, stride,
/// padding and dilation take one number or one for each of {height, width}, {time, height, width}.
template <std::size_t D>
struct ConvNormActivationOptions {
  using padding_t = typename torch::nn::ConvOptions<D>::padding_t;

  ConvNormActivationOptions(int64_t in_channels, int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<D>, kernel_size) = 3;
  TORCH_ARG(torch::ExpandingArray<D>, stride) = 1;
  /// Numbers, torch::kSame or torch::kValid; by default it is floor((kernel_size - 1) / 2)
  /// dilation.
  TORCH_ARG(std::optional<padding_t>, padding) = std::nullopt;
  TORCH_ARG(int64_t, groups) = 1;
  /// By default a BatchNorm2d or BatchNorm3d.
  TORCH_ARG(Norm, norm) = Norm { D == 2 ? Norm::kBatchNorm2d : Norm::kBatchNorm3d };
  TORCH_ARG(Activation, activation) = Activation();
  TORCH_ARG(torch::ExpandingArray<D>, dilation) = 1;
  /// Whether the activation overwrites its input, if it has a form that does.
  TORCH_ARG(bool, inplace) = true;
  /// By default the convolution has a bias where there is no norm.
  TORCH_ARG(std::optional<bool>, bias) = std::nullopt;

 public:
  /// The same as one number for each axis.
  ConvNormActivationOptions& padding(std::initializer_list<int64_t> sizes) {
    return padding(padding_t(torch::ExpandingArray<D>(sizes)));
  }
};
/// Options of the block of images, and of that of videos.
using Conv2dNormActivationOptions = ConvNormActivationOptions<2>;
using Conv3dNormActivationOptions = ConvNormActivationOptions<3>;

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

/// y = activation(norm(conv(x))) of videos. The activation and the norm may be kNone.
///
/// Shape:   x [N, in_channels, T, H, W] -> y [N, out_channels, T', H', W'], as of torch::nn::Conv3d
/// Keys:    those of Conv2dNormActivation
/// Throws:  c10::ValueError for a channel count, kernel_size, stride, dilation or groups below 1, a
///          negative padding, any of them above int32, channels not divisible by groups, and for an
///          input that is not [N, in_channels, T, H, W] of the weights' type and device; c10::Error
///          in forward for a norm of images, such as BatchNorm2d.
/// Source:  torchvision.ops.Conv3dNormActivation
/// Differs: inplace is no error for activations that have no such form.
class CONVKIT_API Conv3dNormActivationImpl : public Block<Conv3dNormActivationImpl> {
 public:
  explicit Conv3dNormActivationImpl(Conv3dNormActivationOptions options);
  Conv3dNormActivationImpl(int64_t in_channels, int64_t out_channels)
      : Conv3dNormActivationImpl(Conv3dNormActivationOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  Conv3dNormActivationOptions options;
  torch::nn::Conv3d conv{nullptr};
  std::shared_ptr<torch::nn::Module> norm;        ///< null without one
  std::shared_ptr<torch::nn::Module> activation;  ///< null without one
};
CONVKIT_MODULE(Conv3dNormActivation);

/// Options of MLP.
struct CONVKIT_API MLPOptions {
  MLPOptions(int64_t in_channels, std::vector<int64_t> hidden_channels)
      : in_channels_(in_channels), hidden_channels_(std::move(hidden_channels)) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(std::vector<int64_t>, hidden_channels);  ///< of each linear layer, the last one's too
  TORCH_ARG(Norm, norm) = Norm { Norm::kNone };      ///< kLayerNorm or kBatchNorm1d, mostly
  TORCH_ARG(Activation, activation) = Activation();
  /// Whether dropout and activations overwrite their input, those that have a form that does. The
  /// gradient of a ReLU is then lost, and backward() says so, as in Python.
  TORCH_ARG(bool, inplace) = false;
  TORCH_ARG(bool, bias) = true;
  TORCH_ARG(double, dropout) = 0;
};

/// y = dropout(linear(z)), z = dropout(activation(norm(linear(.)))) of x, once for each but the last
/// of hidden_channels.
///
/// Shape:   x [..., in_channels] -> y [..., last of hidden_channels]
/// Keys:    i.{weight,bias} of the linear layers and norms; activations and dropouts count too.
/// Throws:  c10::ValueError for channels below 1, no hidden_channels, an activation kNone, a dropout
///          outside [0, 1], and for an input that is not [..., in_channels] of the weights' type and
///          device; c10::Error in forward for a norm that does not fit the input.
/// Source:  torchvision.ops.MLP
class CONVKIT_API MLPImpl : public Block<MLPImpl> {
 public:
  explicit MLPImpl(MLPOptions options);
  MLPImpl(int64_t in_channels, std::vector<int64_t> hidden_channels)
      : MLPImpl(MLPOptions(in_channels, std::move(hidden_channels))) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  MLPOptions options;
};
CONVKIT_MODULE(MLP);

/// y = x gamma, gamma a number for each channel; with `inplace` y takes the place of x.
///
/// Shape:   x [N, dim, H, W] -> y [N, dim, H, W]
/// Keys:    gamma
/// Throws:  c10::ValueError for dim below 1, and for an input that is not [N, dim, H, W] of the
///          weights' type and device.
/// Source:  timm.layers.LayerScale2d; https://arxiv.org/abs/2103.17239
class CONVKIT_API LayerScale2dImpl : public Block<LayerScale2dImpl> {
 public:
  explicit LayerScale2dImpl(int64_t dim, double init_values = 1e-5, bool inplace = false);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t dim;
  double init_values;
  bool inplace;
  torch::Tensor gamma;
};
CONVKIT_MODULE(LayerScale2d);

/// y = x m size(m) / (sum(m) + eps) in training, where the mask m is 0 in squares of block_size such
/// that about the share p of x is dropped; y = x, and no random number, in eval mode and for p = 0.
/// The squares are no larger than the image. With `inplace` y takes the place of x.
///
/// Shape:   x [N, C, H, W] -> y [N, C, H, W]
/// Throws:  c10::ValueError for p outside [0, 1], block_size below 1, eps below 0, for an input that
///          is not [N, C, H, W], and in training for an even size of the squares.
/// Source:  torchvision.ops.DropBlock2d; https://arxiv.org/abs/1810.12890
class CONVKIT_API DropBlock2dImpl : public Block<DropBlock2dImpl> {
 public:
  DropBlock2dImpl(double p, int64_t block_size, bool inplace = false, double eps = 1e-6);

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override;

  double p;
  int64_t block_size;
  bool inplace;
  double eps;
};
CONVKIT_MODULE(DropBlock2d);

/// DropBlock2d of videos, which drops cubes.
///
/// Shape:   x [N, C, T, H, W] -> y [N, C, T, H, W]
/// Throws:  c10::ValueError for p outside [0, 1], block_size below 1, eps below 0, for an input that
///          is not [N, C, T, H, W], and in training for an even size of the cubes.
/// Source:  torchvision.ops.DropBlock3d
class CONVKIT_API DropBlock3dImpl : public Block<DropBlock3dImpl> {
 public:
  DropBlock3dImpl(double p, int64_t block_size, bool inplace = false, double eps = 1e-6);

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override;

  double p;
  int64_t block_size;
  bool inplace;
  double eps;
};
CONVKIT_MODULE(DropBlock3d);

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

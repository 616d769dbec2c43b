#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>
#include <convkit/norm.h>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

/// Convolutions with several branches, whose results attention adds up.
namespace convkit {

/// Options of SelectiveKernel. The hidden channels are `rd_channels`, with which rd_ratio and
/// rd_divisor have no effect, or without them out_channels rd_ratio, rounded to a multiple of
/// rd_divisor.
struct CONVKIT_API SelectiveKernelOptions {
  explicit SelectiveKernelOptions(int64_t in_channels) : in_channels_(in_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(std::optional<int64_t>, out_channels) = std::nullopt;  ///< by default in_channels
  TORCH_ARG(std::vector<int64_t>, kernel_size) = { 3, 5 };         ///< of each branch
  TORCH_ARG(int64_t, stride) = 1;
  TORCH_ARG(int64_t, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;  ///< of each branch, at most out_channels
  TORCH_ARG(double, rd_ratio) = 1.0 / 16;
  TORCH_ARG(std::optional<int64_t>, rd_channels) = std::nullopt;
  TORCH_ARG(int64_t, rd_divisor) = 8;
  /// Whether a kernel of k is one of 3 with the dilation floor(dilation (k - 1) / 2).
  TORCH_ARG(bool, keep_3x3) = true;
  TORCH_ARG(bool, split_input) = true;  ///< whether each branch takes channels of its own
  TORCH_ARG(Activation, act_layer) = Activation { Activation::kReLU };  ///< of the branches
};

/// y = sum of attn_i paths_i(x): convolutions with norm and activation, and for each channel their
/// weights, a softmax of fc_select(relu(bn(fc_reduce(mean over the image of their sum)))).
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, ceil(H / stride), ceil(W / stride)]
/// Keys:    paths.i.conv.weight paths.i.bn.* attn.fc_reduce.weight attn.bn.* attn.fc_select.weight
/// Throws:  c10::ValueError for channels, stride, dilation, groups or rd_divisor below 1, a rd_ratio
///          that is not positive, no kernel_size or one that is even or below 3, in_channels that the
///          branches or groups do not divide, and for an input that is not [N, in_channels, H, W] of
///          the weights' type and device.
/// Source:  timm.layers.SelectiveKernel; https://arxiv.org/abs/1903.06586
/// Differs: a list for kernel_size, {k, k} for Python's k; no norm_layer, it has batch norms; and no
///          aa_layer and drop_layer.
class CONVKIT_API SelectiveKernelImpl : public Block<SelectiveKernelImpl> {
 public:
  explicit SelectiveKernelImpl(SelectiveKernelOptions options);
  explicit SelectiveKernelImpl(int64_t in_channels)
      : SelectiveKernelImpl(SelectiveKernelOptions(in_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  SelectiveKernelOptions options;
  torch::nn::ModuleList paths{nullptr};
  std::shared_ptr<torch::nn::Module> attn;
};
CONVKIT_MODULE(SelectiveKernel);

/// Options of SplitAttn. The hidden channels are rd_channels radix, with which rd_ratio and rd_divisor
/// have no effect, or without them in_channels radix rd_ratio, at least 32 and rounded to a multiple
/// of rd_divisor.
struct CONVKIT_API SplitAttnOptions {
  explicit SplitAttnOptions(int64_t in_channels) : in_channels_(in_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(std::optional<int64_t>, out_channels) = std::nullopt;  ///< by default in_channels
  TORCH_ARG(int64_t, kernel_size) = 3;
  TORCH_ARG(int64_t, stride) = 1;
  TORCH_ARG(std::optional<int64_t>, padding) = std::nullopt;  ///< by default floor(kernel_size / 2)
  TORCH_ARG(int64_t, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;  ///< of each branch
  TORCH_ARG(bool, bias) = false;   ///< of conv
  TORCH_ARG(int64_t, radix) = 2;   ///< the number of branches
  TORCH_ARG(double, rd_ratio) = 0.25;
  TORCH_ARG(std::optional<int64_t>, rd_channels) = std::nullopt;
  TORCH_ARG(int64_t, rd_divisor) = 8;
  TORCH_ARG(Activation, act_layer) = Activation { Activation::kReLU };
  TORCH_ARG(Norm, norm_layer) = Norm { Norm::kNone };
};

/// y = sum of a_r z_r, z = act0(bn0(conv(x))) in radix parts, and for each channel their weights a, a
/// softmax of fc2(act1(bn1(fc1(mean over the image of the sum of z_r)))); a sigmoid for radix 1.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, H', W'], as of torch::nn::Conv2d
/// Keys:    conv.{weight,bias} bn0.* fc1.{weight,bias} bn1.* fc2.{weight,bias}, and
///          {act0,act1}.weight of PReLUs
/// Throws:  c10::ValueError for channels, kernel_size, stride, dilation, groups, radix or rd_divisor
///          below 1, a negative padding, a rd_ratio that is not positive, channels that are not
///          divisible by the groups, an act_layer kNone, and for an input that is not [N,
///          in_channels, H, W] of the weights' type and device.
/// Source:  timm.layers.SplitAttn; https://arxiv.org/abs/2004.08955
/// Differs: it has no drop_layer, and no other arguments of torch.nn.Conv2d.
class CONVKIT_API SplitAttnImpl : public Block<SplitAttnImpl> {
 public:
  explicit SplitAttnImpl(SplitAttnOptions options);
  explicit SplitAttnImpl(int64_t in_channels) : SplitAttnImpl(SplitAttnOptions(in_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  SplitAttnOptions options;
  torch::nn::Conv2d conv{nullptr};
  std::shared_ptr<torch::nn::Module> bn0;  ///< null without a norm
  std::shared_ptr<torch::nn::Module> act0;
  torch::nn::Conv2d fc1{nullptr};
  std::shared_ptr<torch::nn::Module> bn1;  ///< null without a norm
  std::shared_ptr<torch::nn::Module> act1;
  torch::nn::Conv2d fc2{nullptr};
  std::shared_ptr<torch::nn::Module> rsoftmax;
};
CONVKIT_MODULE(SplitAttn);

}  // namespace convkit

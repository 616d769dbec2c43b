#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>
#include <convkit/norm.h>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/pooling.h>

#include <cstdint>
#include <memory>
#include <optional>

namespace convkit {

/// Options of SqueezeExcitation.
struct CONVKIT_API SqueezeExcitationOptions {
  SqueezeExcitationOptions(int64_t input_channels, int64_t squeeze_channels)
      : input_channels_(input_channels), squeeze_channels_(squeeze_channels) {}

  TORCH_ARG(int64_t, input_channels);
  TORCH_ARG(int64_t, squeeze_channels);
  TORCH_ARG(Activation, activation) = Activation { Activation::kReLU };
  TORCH_ARG(Activation, scale_activation) = Activation { Activation::kSigmoid };
};

/// y = scale_activation(fc2(activation(fc1(avgpool(x))))) x: a weight for each channel.
///
/// Shape:   x [N, input_channels, H, W] -> y [N, input_channels, H, W]
/// Keys:    fc1.{weight,bias} fc2.{weight,bias}; then those of PReLUs
/// Throws:  c10::ValueError for channels below 1 or above int32, an activation kNone, and for an
///          input that is not [N, input_channels, H, W] of the weights' type and device.
/// Source:  torchvision.ops.SqueezeExcitation; https://arxiv.org/abs/1709.01507
class CONVKIT_API SqueezeExcitationImpl : public Block<SqueezeExcitationImpl> {
 public:
  explicit SqueezeExcitationImpl(SqueezeExcitationOptions options);
  SqueezeExcitationImpl(int64_t input_channels, int64_t squeeze_channels)
      : SqueezeExcitationImpl(SqueezeExcitationOptions(input_channels, squeeze_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  SqueezeExcitationOptions options;
  torch::nn::AdaptiveAvgPool2d avgpool{nullptr};
  torch::nn::Conv2d fc1{nullptr};
  torch::nn::Conv2d fc2{nullptr};
  std::shared_ptr<torch::nn::Module> activation;
  std::shared_ptr<torch::nn::Module> scale_activation;
};
CONVKIT_MODULE(SqueezeExcitation);

/// Options of EcaModule. With `channels` the kernel is as long as they suggest,
/// int(|log2(channels) + beta| / gamma), made odd, and at least 3: kernel_size then has no effect.
/// Without them gamma and beta have none.
struct CONVKIT_API EcaModuleOptions {
  TORCH_ARG(std::optional<int64_t>, channels) = std::nullopt;
  TORCH_ARG(int64_t, kernel_size) = 3;
  TORCH_ARG(double, gamma) = 2;
  TORCH_ARG(double, beta) = 1;
};

/// y = x sigmoid(conv(mean of each channel)), the convolution along the channels.
///
/// Shape:   x [N, C, H, W] -> y [N, C, H, W]
/// Keys:    conv.weight
/// Throws:  c10::ValueError for channels or kernel_size below 1, an even kernel_size, gamma <= 0,
///          and for an input that is not [N, C, H, W].
/// Source:  timm.layers.EcaModule; https://arxiv.org/abs/1910.03151
class CONVKIT_API EcaModuleImpl : public Block<EcaModuleImpl> {
 public:
  explicit EcaModuleImpl(EcaModuleOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  EcaModuleOptions options;
  torch::nn::Conv1d conv{nullptr};
};
CONVKIT_MODULE(EcaModule);

/// Options of CbamModule. The hidden channels are `rd_channels`, with which rd_ratio and rd_divisor
/// have no effect, or without them channels rd_ratio, rounded to a multiple of rd_divisor.
struct CONVKIT_API CbamModuleOptions {
  explicit CbamModuleOptions(int64_t channels) : channels_(channels) {}

  TORCH_ARG(int64_t, channels);
  TORCH_ARG(double, rd_ratio) = 1.0 / 16;
  TORCH_ARG(std::optional<int64_t>, rd_channels) = std::nullopt;
  TORCH_ARG(int64_t, rd_divisor) = 1;
  TORCH_ARG(int64_t, spatial_kernel_size) = 7;
  TORCH_ARG(Activation, act_layer) = Activation { Activation::kReLU };
  TORCH_ARG(Activation, gate_layer) = Activation { Activation::kSigmoid };
  TORCH_ARG(bool, mlp_bias) = false;
};

/// y = gate(bn(conv([mean; max] of x' over the channels))) x',
/// x' = gate(mlp(mean of each channel) + mlp(max of each channel)) x, mlp = fc2(act(fc1(.))).
///
/// Shape:   x [N, channels, H, W] -> y [N, channels, H, W]
/// Keys:    channel.{fc1,fc2}.weight, with mlp_bias .bias; spatial.conv.conv.weight;
///          spatial.conv.bn.{weight,bias,running_mean,running_var,num_batches_tracked}
/// Throws:  c10::ValueError for channels, rd_channels or rd_divisor below 1, an even
///          spatial_kernel_size, a layer kNone, and for an input that is not [N, channels, H, W] of
///          the weights' type and device.
/// Source:  timm.layers.cbam.CbamModule; https://arxiv.org/abs/1807.06521
class CONVKIT_API CbamModuleImpl : public Block<CbamModuleImpl> {
 public:
  explicit CbamModuleImpl(CbamModuleOptions options);
  explicit CbamModuleImpl(int64_t channels) : CbamModuleImpl(CbamModuleOptions(channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  CbamModuleOptions options;
  std::shared_ptr<torch::nn::Module> channel;
  std::shared_ptr<torch::nn::Module> spatial;
};
CONVKIT_MODULE(CbamModule);

/// y = x cSE(x) + x sSE(x): a weight for each channel, and one for each pixel.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, in_channels, H, W]
/// Keys:    cSE.{1,3}.{weight,bias}  sSE.0.{weight,bias}
/// Throws:  c10::ValueError for in_channels or reduction below 1, in_channels below reduction, and
///          for an input that is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  segmentation_models_pytorch.base.modules.SCSEModule; https://arxiv.org/abs/1808.08127
class CONVKIT_API SCSEModuleImpl : public Block<SCSEModuleImpl> {
 public:
  explicit SCSEModuleImpl(int64_t in_channels, int64_t reduction = 16);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_channels;
  int64_t reduction;
  Sequential cSE{nullptr};
  Sequential sSE{nullptr};
};
CONVKIT_MODULE(SCSEModule);

/// Options of CoordAttn. The hidden channels are `rd_channels`, with which rd_ratio, rd_divisor and
/// se_factor have no effect, or without them channels rd_ratio se_factor, rounded to a multiple of
/// rd_divisor.
struct CONVKIT_API CoordAttnOptions {
  explicit CoordAttnOptions(int64_t channels) : channels_(channels) {}

  TORCH_ARG(int64_t, channels);
  TORCH_ARG(double, rd_ratio) = 1.0 / 16;
  TORCH_ARG(std::optional<int64_t>, rd_channels) = std::nullopt;
  TORCH_ARG(int64_t, rd_divisor) = 8;
  TORCH_ARG(double, se_factor) = 2.0 / 3;
  TORCH_ARG(bool, bias) = false;
  TORCH_ARG(Activation, act_layer) = Activation { Activation::kHardswish };
  TORCH_ARG(Norm, norm_layer) = Norm();
  TORCH_ARG(Activation, gate_layer) = Activation { Activation::kSigmoid };
  TORCH_ARG(bool, has_skip) = false;  ///< whether x is added to the result
};

/// y = x gate(conv_w(w)) gate(conv_h(h)): a weight for each row and for each column, where h and w are
/// the parts of act(bn1(conv1([means of the rows; means of the columns]))).
///
/// Shape:   x [N, channels, H, W] -> y [N, channels, H, W]
/// Keys:    conv1.{weight,bias} bn1.* act.weight of a PReLU, conv_h.{weight,bias}
///          conv_w.{weight,bias}
/// Throws:  c10::ValueError for channels, rd_channels or rd_divisor below 1, a factor that is not
///          positive, an act_layer or gate_layer kNone, and for an input that is not [N, channels, H,
///          W] of the weights' type and device.
/// Source:  timm.layers.coord_attn.CoordAttn; https://arxiv.org/abs/2103.02907
class CONVKIT_API CoordAttnImpl : public Block<CoordAttnImpl> {
 public:
  explicit CoordAttnImpl(CoordAttnOptions options);
  explicit CoordAttnImpl(int64_t channels) : CoordAttnImpl(CoordAttnOptions(channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  CoordAttnOptions options;
  torch::nn::Conv2d conv1{nullptr};
  std::shared_ptr<torch::nn::Module> bn1;  ///< null without a norm
  std::shared_ptr<torch::nn::Module> act;
  torch::nn::Conv2d conv_h{nullptr};
  torch::nn::Conv2d conv_w{nullptr};
  std::shared_ptr<torch::nn::Module> gate;
};
CONVKIT_MODULE(CoordAttn);

/// Options of GlobalContext. The hidden channels are `rd_channels`, with which rd_ratio and rd_divisor
/// have no effect, or without them channels rd_ratio, rounded to a multiple of rd_divisor.
struct CONVKIT_API GlobalContextOptions {
  explicit GlobalContextOptions(int64_t channels) : channels_(channels) {}

  TORCH_ARG(int64_t, channels);
  TORCH_ARG(bool, use_attn) = true;    ///< else the context is the mean of each channel
  TORCH_ARG(bool, fuse_add) = false;   ///< whether mlp_add(context) is added
  TORCH_ARG(bool, fuse_scale) = true;  ///< whether gate(mlp_scale(context)) multiplies
  TORCH_ARG(double, rd_ratio) = 1.0 / 8;
  TORCH_ARG(std::optional<int64_t>, rd_channels) = std::nullopt;
  TORCH_ARG(int64_t, rd_divisor) = 1;
  TORCH_ARG(Activation, act_layer) = Activation { Activation::kReLU };
  TORCH_ARG(Activation, gate_layer) = Activation { Activation::kSigmoid };
};

/// y = x gate(mlp_scale(c)) + mlp_add(c), c the sum of all pixels by the weights softmax(conv_attn(x)),
/// mlp = fc2(act(norm(fc1(.)))).
///
/// Shape:   x [N, channels, H, W] -> y [N, channels, H, W]
/// Keys:    conv_attn.{weight,bias} {mlp_add,mlp_scale}.{fc1,norm,fc2}.{weight,bias}; of those that
///          there are
/// Throws:  c10::ValueError for channels, rd_channels or rd_divisor below 1, a rd_ratio that is not
///          positive, neither fuse_add nor fuse_scale, an act_layer or gate_layer kNone, and for an
///          input that is not [N, channels, H, W] of the weights' type and device.
/// Source:  timm.layers.GlobalContext; https://arxiv.org/abs/1904.11492
/// Differs: it has no init_last_zero, which has no effect in Python.
class CONVKIT_API GlobalContextImpl : public Block<GlobalContextImpl> {
 public:
  explicit GlobalContextImpl(GlobalContextOptions options);
  explicit GlobalContextImpl(int64_t channels)
      : GlobalContextImpl(GlobalContextOptions(channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  GlobalContextOptions options;
  torch::nn::Conv2d conv_attn{nullptr};          ///< null without use_attn
  std::shared_ptr<torch::nn::Module> mlp_add;    ///< null without fuse_add
  std::shared_ptr<torch::nn::Module> mlp_scale;  ///< null without fuse_scale
  std::shared_ptr<torch::nn::Module> gate;
};
CONVKIT_MODULE(GlobalContext);

}  // namespace convkit

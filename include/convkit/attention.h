#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>

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
/// Keys:    fc1.{weight,bias} fc2.{weight,bias}; then of PReLUs
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

/// Options of EcaModule. With `channels` the kernel is as long as they suggest:
/// int(|log2(channels) + beta| / gamma), made odd, and at least 3.
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

}  // namespace convkit

#pragma once

#include <convkit/models/classifier.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <string>

namespace convkit::models {

/// Options of a SqueezeNet.
struct SqueezeNetOptions {
  int64_t num_classes = 1000;
  double dropout = 0.5;
};

namespace squeezenet {

/// y = [relu(expand1x1(s)); relu(expand3x3(s))], s = relu(squeeze(x)): a 1x1 convolution to few
/// channels, and a 1x1 and a 3x3 one side by side.
///
/// Shape:   x [N, inplanes, H, W] -> y [N, expand1x1_planes + expand3x3_planes, H, W]
/// Keys:    {squeeze,expand1x1,expand3x3}.{weight,bias}
/// Throws:  c10::ValueError for channels below 1, and for an input that is not [N, inplanes, H, W]
///          of the weights' type and device.
/// Source:  torchvision.models.squeezenet.Fire; https://arxiv.org/abs/1602.07360
class CONVKIT_API FireImpl : public Block<FireImpl> {
 public:
  FireImpl(int64_t inplanes, int64_t squeeze_planes, int64_t expand1x1_planes,
           int64_t expand3x3_planes);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t inplanes;
  int64_t squeeze_planes;
  int64_t expand1x1_planes;
  int64_t expand3x3_planes;
  torch::nn::Conv2d squeeze{nullptr};
  torch::nn::ReLU squeeze_activation{nullptr};
  torch::nn::Conv2d expand1x1{nullptr};
  torch::nn::ReLU expand1x1_activation{nullptr};
  torch::nn::Conv2d expand3x3{nullptr};
  torch::nn::ReLU expand3x3_activation{nullptr};
};
CONVKIT_MODULE(Fire);

/// y = flattened classifier(features(x)): a convolution, eight Fires, max pools among them, then
/// dropout, a 1x1 convolution to num_classes, a ReLU, and the mean of each channel.
///
/// Shape:   x [N, 3, H, W], H and W at least 21 (1_0) or 17 (1_1) -> y [N, num_classes]
/// Keys:    features.0.{weight,bias} features.i.* of the Fires, classifier.1.{weight,bias}
/// Throws:  c10::ValueError for a version other than 1_0 and 1_1, num_classes below 1, a dropout
///          outside [0, 1], and for an input that is not [N, 3, H, W] of the weights' type and
///          device; c10::Error for a smaller image.
/// Source:  torchvision.models.SqueezeNet
class CONVKIT_API SqueezeNetImpl : public LayeredBackbone<SqueezeNetImpl> {
 public:
  explicit SqueezeNetImpl(std::string version = "1_0", const SqueezeNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  std::string version;
  SqueezeNetOptions options;
  Sequential classifier{nullptr};
};
CONVKIT_MODULE(SqueezeNet);

}  // namespace squeezenet

/// Source: torchvision.models
CONVKIT_API squeezenet::SqueezeNet squeezenet1_0(const SqueezeNetOptions& options = {});
CONVKIT_API squeezenet::SqueezeNet squeezenet1_1(const SqueezeNetOptions& options = {});

}  // namespace convkit::models

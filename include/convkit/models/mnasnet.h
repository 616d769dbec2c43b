#pragma once

#include <convkit/models/classifier.h>

#include <cstdint>

namespace convkit::models {

/// Options of an MNASNet.
struct MNASNetOptions {
  int64_t num_classes = 1000;
  double dropout = 0.2;
  /// 1 for checkpoints of torchvision 0.4, whose first layers have 32 and 16 channels for any alpha.
  int64_t version = 2;
};

namespace mnasnet {

/// y = layers(x), plus x where the shape stays: a 1x1 convolution to in_ch expansion_factor channels,
/// a depthwise one, both with a norm and a ReLU, and a 1x1 one with a norm.
///
/// Shape:   x [N, in_ch, H, W] -> y [N, out_ch, ceil(H / stride), ceil(W / stride)]
/// Keys:    layers.{0,3,6}.weight layers.{1,4,7}.*
/// Throws:  c10::ValueError for channels or expansion_factor below 1, a kernel_size other than 3 and
///          5, a stride other than 1 and 2, and for an input that is not [N, in_ch, H, W] of the
///          weights' type and device.
/// Source:  torchvision.models.mnasnet._InvertedResidual; https://arxiv.org/abs/1807.11626
class CONVKIT_API InvertedResidualImpl : public Block<InvertedResidualImpl> {
 public:
  InvertedResidualImpl(int64_t in_ch, int64_t out_ch, int64_t kernel_size, int64_t stride,
                       int64_t expansion_factor, double bn_momentum = 0.1);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_ch;
  int64_t out_ch;
  int64_t kernel_size;
  int64_t stride;
  int64_t expansion_factor;
  double bn_momentum;
  Sequential layers{nullptr};
};
CONVKIT_MODULE(InvertedResidual);

/// The network is a convolution, a separable one, six stacks of inverted residuals and a 1x1
/// convolution; then the mean of each channel, dropout and a linear layer. alpha multiplies the
/// channels.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    layers.{0,3,6,14}.weight layers.{1,4,7,15}.* layers.{8..13}.i.* of the inverted
///          residuals, classifier.1.{weight,bias}
/// Throws:  c10::ValueError for alpha <= 0, num_classes below 1, a dropout outside [0, 1], a version
///          other than 1 and 2, and for an input that is not [N, 3, H, W] of the weights' type and
///          device.
/// Source:  torchvision.models.MNASNet
/// Differs: an option for what Python takes from the metadata of the state_dict that it loads.
class CONVKIT_API MNASNetImpl : public LayeredBackbone<MNASNetImpl> {
 public:
  explicit MNASNetImpl(double alpha, const MNASNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  double alpha;
  MNASNetOptions options;
  Sequential classifier{nullptr};
};
CONVKIT_MODULE(MNASNet);

}  // namespace mnasnet

/// MNASNets of so many times the channels.
/// Source: torchvision.models
CONVKIT_API mnasnet::MNASNet mnasnet0_5(const MNASNetOptions& options = {});
CONVKIT_API mnasnet::MNASNet mnasnet0_75(const MNASNetOptions& options = {});
CONVKIT_API mnasnet::MNASNet mnasnet1_0(const MNASNetOptions& options = {});
CONVKIT_API mnasnet::MNASNet mnasnet1_3(const MNASNetOptions& options = {});

}  // namespace convkit::models

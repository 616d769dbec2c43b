#pragma once

#include <convkit/models/classifier.h>

#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace convkit::models {

/// Options of a ShuffleNetV2.
struct ShuffleNetV2Options {
  int64_t num_classes = 1000;
};

namespace shufflenetv2 {

/// y = channels of [x1; branch2(x2)] in turn, x1 and x2 the halves of x; with a stride of [branch1(x);
/// branch2(x)]. branch2 is a 1x1 convolution, a depthwise 3x3 one and a 1x1 one, branch1 the last
/// two.
///
/// Shape:   x [N, inp, H, W] -> y [N, 2 floor(oup / 2), ceil(H / stride), ceil(W / stride)]
/// Keys:    branch2.{0,3,5}.weight branch2.{1,4,6}.*; with a stride branch1.{0,2}.weight
///          branch1.{1,3}.*
/// Throws:  c10::ValueError for inp below 1, oup below 2, a stride outside [1, 3], stride 1 where
///          inp is not 2 floor(oup / 2), and for an input that is not [N, inp, H, W] of the weights'
///          type and device.
/// Source:  torchvision.models.shufflenetv2.InvertedResidual; https://arxiv.org/abs/1807.11164
class CONVKIT_API InvertedResidualImpl : public Block<InvertedResidualImpl> {
 public:
  InvertedResidualImpl(int64_t inp, int64_t oup, int64_t stride);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t inp;
  int64_t oup;
  int64_t stride;
  Sequential branch1{nullptr};  ///< empty for stride 1
  Sequential branch2{nullptr};
};
CONVKIT_MODULE(InvertedResidual);

/// What makes one ShuffleNetV2 another.
struct Layout {
  std::array<int64_t, 3> stages_repeats = {4, 8, 4};  ///< the blocks of stage2 to stage4
  std::array<int64_t, 5> stages_out_channels = {24, 116, 232, 464, 1024};  ///< conv1 to conv5
};

/// The layout of a ShuffleNetV2, by its name: shufflenet_v2_x1_0, ...
///
/// Throws:  c10::ValueError for any other name.
CONVKIT_API Layout layout(const std::string& name);

/// y = fc(mean of each channel of conv5(stage4(stage3(stage2(maxpool(conv1(x))))))).
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    conv1.0.weight conv1.1.* stage{2..4}.i.* of the blocks, conv5.0.weight conv5.1.*
///          fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes or a number of the layout below 1, what the blocks
///          refuse, and for an input that is not [N, 3, H, W] of the weights' type and device.
/// Source:  torchvision.models.ShuffleNetV2
/// Differs: a Layout for stages_repeats and stages_out_channels, no block of your own.
class CONVKIT_API ShuffleNetV2Impl : public Block<ShuffleNetV2Impl>, public Backbone {
 public:
  explicit ShuffleNetV2Impl(const Layout& layout, const ShuffleNetV2Options& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Gives the maps of conv1, maxpool, stage2, stage3 and conv5.
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  Layout layout;
  ShuffleNetV2Options options;
  Sequential conv1{nullptr};
  torch::nn::MaxPool2d maxpool{nullptr};
  std::array<Sequential, 3> stages = {nullptr, nullptr, nullptr};  ///< stage2 to stage4
  Sequential conv5{nullptr};
  torch::nn::Linear fc{nullptr};
};
CONVKIT_MODULE(ShuffleNetV2);

}  // namespace shufflenetv2

/// ShuffleNetV2s of so many times the channels.
/// Source: torchvision.models
CONVKIT_API shufflenetv2::ShuffleNetV2 shufflenet_v2_x0_5(const ShuffleNetV2Options& options = {});
CONVKIT_API shufflenetv2::ShuffleNetV2 shufflenet_v2_x1_0(const ShuffleNetV2Options& options = {});
CONVKIT_API shufflenetv2::ShuffleNetV2 shufflenet_v2_x1_5(const ShuffleNetV2Options& options = {});
CONVKIT_API shufflenetv2::ShuffleNetV2 shufflenet_v2_x2_0(const ShuffleNetV2Options& options = {});

}  // namespace convkit::models

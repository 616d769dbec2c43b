#pragma once

#include <convkit/models/classifier.h>
#include <convkit/norm.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace convkit::models {

/// Options of a ResNet.
struct ResNetOptions {
  int64_t num_classes = 1000;  ///< of fc; it changes nothing where features_only leaves fc out
  /// Whether the last norm of each block begins with weights of 0, and the block as the identity.
  bool zero_init_residual = false;
  /// Whether layer2, layer3 and layer4 dilate their convolutions where they would halve the size.
  std::array<bool, 3> replace_stride_with_dilation = {false, false, false};
  Norm norm_layer = {};
  /// Leaves avgpool and fc out: an encoder, whose forward gives the map of layer4.
  bool features_only = false;
};

namespace resnet {

/// Options of BasicBlock and Bottleneck.
struct CONVKIT_API BlockOptions {
  BlockOptions(int64_t inplanes, int64_t planes) : inplanes_(inplanes), planes_(planes) {}

  TORCH_ARG(int64_t, inplanes);
  TORCH_ARG(int64_t, planes);
  TORCH_ARG(int64_t, stride) = 1;
  /// A 1x1 convolution and a norm on the way around, needed where the shape changes.
  TORCH_ARG(bool, downsample) = false;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(int64_t, base_width) = 64;
  TORCH_ARG(int64_t, dilation) = 1;
  TORCH_ARG(Norm, norm_layer) = Norm();
};

/// y = relu(bn2(conv2(relu(bn1(conv1(x))))) + downsample(x)), two 3x3 convolutions.
///
/// Shape:   x [N, inplanes, H, W] -> y [N, planes, ceil(H / stride), ceil(W / stride)]
/// Keys:    conv1.weight bn1.* conv2.weight bn2.* downsample.0.weight downsample.1.*
/// Throws:  c10::ValueError for an option below 1, groups, base_width or dilation that it has not,
///          a norm_layer kNone, no downsample where the shape changes, and for an input that is not
///          [N, inplanes, H, W] of the weights' type and device.
/// Source:  torchvision.models.resnet.BasicBlock; https://arxiv.org/abs/1512.03385
/// Differs: downsample is a switch for what ResNet passes, not a module of your own.
class CONVKIT_API BasicBlockImpl : public Block<BasicBlockImpl> {
 public:
  static constexpr int64_t expansion = 1;

  explicit BasicBlockImpl(BlockOptions options);
  BasicBlockImpl(int64_t inplanes, int64_t planes)
      : BasicBlockImpl(BlockOptions(inplanes, planes)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  BlockOptions options;
  torch::nn::Conv2d conv1{nullptr};
  std::shared_ptr<torch::nn::Module> bn1;
  torch::nn::ReLU relu{nullptr};
  torch::nn::Conv2d conv2{nullptr};
  std::shared_ptr<torch::nn::Module> bn2;
  Sequential downsample{nullptr};
};
CONVKIT_MODULE(BasicBlock);

/// y = relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + downsample(x)): 1x1, 3x3 with the
/// stride, 1x1; inside floor(planes base_width / 64) groups channels.
///
/// Shape:   x [N, inplanes, H, W] -> y [N, 4 planes, ceil(H / stride), ceil(W / stride)]
/// Keys:    conv1.weight bn1.* conv2.weight bn2.* conv3.weight bn3.* downsample.0.weight
///          downsample.1.*
/// Throws:  c10::ValueError for an option below 1, a norm_layer kNone, no downsample where the
///          shape changes, and for an input that is not [N, inplanes, H, W] of the weights' type
///          and device.
/// Source:  torchvision.models.resnet.Bottleneck, ResNet V1.5; https://arxiv.org/abs/1512.03385
/// Differs: downsample is a switch for what ResNet passes, not a module of your own.
class CONVKIT_API BottleneckImpl : public Block<BottleneckImpl> {
 public:
  static constexpr int64_t expansion = 4;

  explicit BottleneckImpl(BlockOptions options);
  BottleneckImpl(int64_t inplanes, int64_t planes)
      : BottleneckImpl(BlockOptions(inplanes, planes)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  BlockOptions options;
  torch::nn::Conv2d conv1{nullptr};
  std::shared_ptr<torch::nn::Module> bn1;
  torch::nn::Conv2d conv2{nullptr};
  std::shared_ptr<torch::nn::Module> bn2;
  torch::nn::Conv2d conv3{nullptr};
  std::shared_ptr<torch::nn::Module> bn3;
  torch::nn::ReLU relu{nullptr};
  Sequential downsample{nullptr};
};
CONVKIT_MODULE(Bottleneck);

/// What makes one ResNet another: the block, how many of them each layer has, and their width.
struct CONVKIT_API Layout {
  /// Which block the layers are made of.
  enum BlockKind : int { kBasicBlock, kBottleneck };
  BlockKind block = kBasicBlock;
  std::array<int64_t, 4> layers = {2, 2, 2, 2};
  int64_t groups = 1;
  int64_t width_per_group = 64;

  /// How many times its planes a block gives as channels.
  /// Throws: c10::ValueError for another block.
  [[nodiscard]] int64_t expansion() const;
};

/// The layout of a ResNet, by its name: resnet18, resnext50_32x4d, ...
///
/// Throws:  c10::ValueError for any other name.
CONVKIT_API Layout layout(const std::string& name);

/// y = fc(flattened avgpool(layer4(layer3(layer2(layer1(maxpool(relu(bn1(conv1(x)))))))))).
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    conv1.weight bn1.* layer{1..4}.i.* of the blocks, fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, a layout that the blocks refuse, and for an
///          input that is not [N, 3, H, W] of the weights' type and device.
/// Source:  torchvision.models.ResNet
/// Differs: a Layout for block, layers, groups and width_per_group.
class CONVKIT_API ResNetImpl : public Block<ResNetImpl>, public Backbone {
 public:
  explicit ResNetImpl(const Layout& layout, const ResNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Gives relu(bn1(conv1(x))), then the maps of layer1 to layer4.
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;
  /// Gives the first `depth` of these maps, and computes no more than them.
  std::vector<torch::Tensor> features(const torch::Tensor& x, std::size_t depth);

  Layout layout;
  ResNetOptions options;
  torch::nn::Conv2d conv1{nullptr};
  std::shared_ptr<torch::nn::Module> bn1;
  torch::nn::ReLU relu{nullptr};
  torch::nn::MaxPool2d maxpool{nullptr};
  std::array<Sequential, 4> layers = {nullptr, nullptr, nullptr, nullptr};  ///< layer1 to layer4
  torch::nn::AdaptiveAvgPool2d avgpool{nullptr};                            ///< not features_only
  torch::nn::Linear fc{nullptr};                                            ///< not features_only

 private:
  torch::Tensor stem(const torch::Tensor& x);
};
CONVKIT_MODULE(ResNet);

}  // namespace resnet

/// ResNets of so many layers.
/// Source: torchvision.models
CONVKIT_API resnet::ResNet resnet18(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet resnet34(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet resnet50(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet resnet101(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet resnet152(const ResNetOptions& options = {});
/// ResNeXts, of as many groups as the first number says and as many channels in each as the second.
/// Source: torchvision.models; https://arxiv.org/abs/1611.05431
CONVKIT_API resnet::ResNet resnext50_32x4d(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet resnext101_32x8d(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet resnext101_64x4d(const ResNetOptions& options = {});
/// Wide ResNets, whose 3x3 convolutions have twice the channels.
/// Source: torchvision.models; https://arxiv.org/abs/1605.07146
CONVKIT_API resnet::ResNet wide_resnet50_2(const ResNetOptions& options = {});
CONVKIT_API resnet::ResNet wide_resnet101_2(const ResNetOptions& options = {});

}  // namespace convkit::models

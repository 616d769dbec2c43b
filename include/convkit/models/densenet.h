#pragma once

#include <convkit/models/classifier.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace convkit::models {

/// Options of a DenseNet.
struct DenseNetOptions {
  int64_t num_classes = 1000;
  int64_t bn_size = 4;   ///< inside, a layer has bn_size growth_rate channels
  double drop_rate = 0;  ///< of the dropout after each layer
};

namespace densenet {

/// y = conv2(relu2(norm2(conv1(relu1(norm1(all maps so far)))))): a 1x1 convolution to
/// bn_size growth_rate channels and a 3x3 one to growth_rate; then, in training, dropout. It takes
/// several maps, so it is no Block.
///
/// Shape:   {[N, C_i, H, W]}, of num_input_features channels together -> y [N, growth_rate, H, W]
/// Keys:    norm1.* conv1.weight norm2.* conv2.weight; load_state_dict() takes the older norm.1.*,
///          conv.1.weight, norm.2.* and conv.2.weight too
/// Throws:  c10::ValueError for channels below 1, a drop_rate outside [0, 1], and for maps that have
///          not num_input_features channels of the weights' type and device.
/// Source:  torchvision.models.densenet._DenseLayer
/// Differs: it has no memory_efficient, by which Python computes the first half twice.
class CONVKIT_API DenseLayerImpl : public Cloneable<DenseLayerImpl> {
 public:
  DenseLayerImpl(int64_t num_input_features, int64_t growth_rate, int64_t bn_size,
                 double drop_rate);

  void reset() override;
  torch::Tensor forward(const std::vector<torch::Tensor>& features);
  [[nodiscard]] std::string current_key(const std::string& key) const override;

  int64_t num_input_features;
  int64_t growth_rate;
  int64_t bn_size;
  double drop_rate;
  torch::nn::BatchNorm2d norm1{nullptr};
  torch::nn::ReLU relu1{nullptr};
  torch::nn::Conv2d conv1{nullptr};
  torch::nn::BatchNorm2d norm2{nullptr};
  torch::nn::ReLU relu2{nullptr};
  torch::nn::Conv2d conv2{nullptr};
};
CONVKIT_MODULE(DenseLayer);

/// y = x and what each of num_layers layers gives of all before it, one after another.
///
/// Shape:   x [N, num_input_features, H, W] -> y [N, num_input_features + num_layers growth_rate, H,
///          W]
/// Keys:    denselayer{1..num_layers}.* of DenseLayer
/// Throws:  c10::ValueError for num_layers below 1, what DenseLayer refuses, and for an input that
///          is not [N, num_input_features, H, W] of the weights' type and device.
/// Source:  torchvision.models.densenet._DenseBlock; https://arxiv.org/abs/1608.06993
class CONVKIT_API DenseBlockImpl : public Block<DenseBlockImpl> {
 public:
  DenseBlockImpl(int64_t num_layers, int64_t num_input_features, int64_t bn_size,
                 int64_t growth_rate, double drop_rate);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t num_layers;
  int64_t num_input_features;
  int64_t bn_size;
  int64_t growth_rate;
  double drop_rate;
  std::vector<DenseLayer> layers;
};
CONVKIT_MODULE(DenseBlock);

/// What makes one DenseNet another.
struct Layout {
  int64_t growth_rate = 32;
  std::array<int64_t, 4> block_config = {6, 12, 24, 16};  ///< the layers of each block
  int64_t num_init_features = 64;
};

/// The layout of a DenseNet, by its name: densenet121, ...
///
/// Throws:  c10::ValueError for any other name.
CONVKIT_API Layout layout(const std::string& name);

/// The network is a convolution and a max pool, four DenseBlocks, between them transitions that
/// halve channels and size, and a norm; then a ReLU, the mean of each channel and a linear layer.
///
/// Shape:   x [N, 3, H, W], H and W at least 29 -> y [N, num_classes]
/// Keys:    features.{conv0,norm0}.* features.denseblock{1..4}.* features.transition{1..3}.{norm,conv}.*
///          features.norm5.* classifier.{weight,bias}
/// Throws:  c10::ValueError for num_classes or a number of the layout below 1, what DenseBlock
///          refuses, and for an input that is not [N, 3, H, W] of the weights' type and device;
///          c10::Error for a smaller image.
/// Source:  torchvision.models.DenseNet
/// Differs: a Layout for growth_rate, block_config and num_init_features; no memory_efficient.
class CONVKIT_API DenseNetImpl : public LayeredBackbone<DenseNetImpl> {
 public:
  explicit DenseNetImpl(const Layout& layout, const DenseNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  Layout layout;
  DenseNetOptions options;
  torch::nn::Linear classifier{nullptr};
};
CONVKIT_MODULE(DenseNet);

}  // namespace densenet

/// DenseNets of so many layers.
/// Source: torchvision.models
CONVKIT_API densenet::DenseNet densenet121(const DenseNetOptions& options = {});
CONVKIT_API densenet::DenseNet densenet161(const DenseNetOptions& options = {});
CONVKIT_API densenet::DenseNet densenet169(const DenseNetOptions& options = {});
CONVKIT_API densenet::DenseNet densenet201(const DenseNetOptions& options = {});

}  // namespace convkit::models

#pragma once

#include <convkit/blocks.h>
#include <convkit/models/classifier.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace convkit::models {

/// Options of a ConvNeXt; by default those of each are torchvision's.
struct ConvNeXtOptions {
  int64_t num_classes = 1000;
  /// The last block's; those of the others grow up to it. The class itself takes 0.
  std::optional<double> stochastic_depth_prob = std::nullopt;
  double layer_scale = 1e-6;
};

namespace convnext {

/// y = stochastic_depth(layer_scale block(x)) + x: a depthwise 7x7 convolution, and for each pixel
/// a layer norm and two linear layers, to 4 dim and back, with a GELU between.
///
/// Shape:   x [N, dim, H, W] -> y [N, dim, H, W]
/// Keys:    layer_scale [dim, 1, 1]; block.0.* the convolution, block.2.* the norm, block.3.* and
///          block.5.* the linear layers, each {weight,bias}
/// Throws:  c10::ValueError for dim below 1, a probability outside [0, 1], and for an input that is
///          not [N, dim, H, W] of the weights' type and device.
/// Source:  torchvision.models.convnext.CNBlock; https://arxiv.org/abs/2201.03545
/// Differs: the norm is torchvision's default, LayerNorm with eps 1e-6.
class CONVKIT_API CNBlockImpl : public Block<CNBlockImpl> {
 public:
  CNBlockImpl(int64_t dim, double layer_scale, double stochastic_depth_prob);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t dim;
  double initial_layer_scale;
  double stochastic_depth_prob;
  Sequential block{nullptr};
  torch::Tensor layer_scale;
  StochasticDepth stochastic_depth{nullptr};
};
CONVKIT_MODULE(CNBlock);

/// A stage of blocks, and the channels that the 2x2 convolution after it makes.
struct CNBlockConfig {
  int64_t input_channels = 0;
  std::optional<int64_t> out_channels = std::nullopt;  ///< by default there is no convolution
  int64_t num_layers = 1;
};

/// The network is a 4x4 convolution with stride 4 and the stages; then the mean of each channel, a
/// layer norm and a linear layer.
///
/// Shape:   x [N, 3, H, W], for four stages of at least 32 pixels a side -> y [N, num_classes]
/// Keys:    features.0.* features.{1,3,..}.j.* of the blocks, features.{2,4,..}.{0,1}.* between
///          them; classifier.{0,2}.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, no stage, channels or num_layers below 1, a
///          stage of other channels than the one before gives, a probability outside [0, 1], and
///          for an input that is not [N, 3, H, W] of the weights' type and device.
/// Source:  torchvision.models.ConvNeXt
/// Differs: it has no block and norm_layer of your own; a single block is no error.
class CONVKIT_API ConvNeXtImpl : public Classifier<ConvNeXtImpl> {
 public:
  explicit ConvNeXtImpl(std::vector<CNBlockConfig> block_setting,
                        const ConvNeXtOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  std::vector<CNBlockConfig> block_setting;
  ConvNeXtOptions options;

 private:
  void check_size(const torch::Tensor& x) const;
};
CONVKIT_MODULE(ConvNeXt);

}  // namespace convnext

/// Source: torchvision.models
CONVKIT_API convnext::ConvNeXt convnext_tiny(const ConvNeXtOptions& options = {});
CONVKIT_API convnext::ConvNeXt convnext_small(const ConvNeXtOptions& options = {});
CONVKIT_API convnext::ConvNeXt convnext_base(const ConvNeXtOptions& options = {});
CONVKIT_API convnext::ConvNeXt convnext_large(const ConvNeXtOptions& options = {});

}  // namespace convkit::models

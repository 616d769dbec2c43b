#pragma once

#include <convkit/blocks.h>
#include <convkit/models/classifier.h>
#include <convkit/norm.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace convkit::models {

/// Options of an EfficientNet; by default those of each are torchvision's.
struct EfficientNetOptions {
  int64_t num_classes = 1000;
  std::optional<double> dropout = std::nullopt;
  double stochastic_depth_prob = 0.2;  ///< the last block's; those of the others grow up to it
  std::optional<Norm> norm_layer = std::nullopt;
};

namespace efficientnet {

/// A stage of blocks, as in table 1 of https://arxiv.org/abs/1905.11946 and table 4 of
/// https://arxiv.org/abs/2104.00298.
struct MBConvConfig {
  double expand_ratio = 1;
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t input_channels = 0;
  int64_t out_channels = 0;
  int64_t num_layers = 1;  ///< a block by itself, which is one layer, leaves it aside
  bool fused = false;      ///< whether the stage's blocks are FusedMBConvs; a block leaves it aside
};

/// y = block(x), plus x where the shape stays: a 1x1 convolution to expand_ratio times the
/// channels, a depthwise one, both with a norm and a SiLU, SqueezeExcitation to a quarter of
/// input_channels, and a 1x1 convolution with a norm. In training block(x) is dropped for some
/// images.
///
/// Shape:   x [N, input_channels, H, W] -> y [N, out_channels, ceil(H / stride), ceil(W / stride)]
/// Keys:    block.i.* of Conv2dNormActivation and SqueezeExcitation
/// Throws:  c10::ValueError for channels, kernel or expand_ratio below 1, a stride other than 1 and
///          2, a norm_layer kNone, a probability outside [0, 1], and for an input that is not [N,
///          input_channels, H, W] of the weights' type and device.
/// Source:  torchvision.models.efficientnet.MBConv
class CONVKIT_API MBConvImpl : public Block<MBConvImpl> {
 public:
  explicit MBConvImpl(const MBConvConfig& config, double stochastic_depth_prob = 0,
                      Norm norm_layer = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  MBConvConfig config;
  double stochastic_depth_prob;
  Norm norm_layer;
  Sequential block{nullptr};
  StochasticDepth stochastic_depth{nullptr};
};
CONVKIT_MODULE(MBConv);

/// y = block(x), plus x where the shape stays: a convolution to expand_ratio times the channels
/// with a norm and a SiLU, and a 1x1 one with a norm; for ratio 1 the first alone. In training
/// block(x) is dropped for some images.
///
/// Shape:   x [N, input_channels, H, W] -> y [N, out_channels, ceil(H / stride), ceil(W / stride)]
/// Keys:    block.i.* of Conv2dNormActivation
/// Throws:  as MBConv.
/// Source:  torchvision.models.efficientnet.FusedMBConv
class CONVKIT_API FusedMBConvImpl : public Block<FusedMBConvImpl> {
 public:
  explicit FusedMBConvImpl(const MBConvConfig& config, double stochastic_depth_prob = 0,
                           Norm norm_layer = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  MBConvConfig config;
  double stochastic_depth_prob;
  Norm norm_layer;
  Sequential block{nullptr};
  StochasticDepth stochastic_depth{nullptr};
};
CONVKIT_MODULE(FusedMBConv);

/// An EfficientNet's own stages and settings, which make it another than the others.
struct Layout {
  std::vector<MBConvConfig> stages;
  double dropout = 0.2;
  Norm norm_layer = {};
  std::optional<int64_t> last_channel = std::nullopt;  ///< by default 4 times the last stage's
};

/// The network is a convolution, the stages of blocks and a 1x1 convolution; then the mean of each
/// channel, dropout and a linear layer.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    features.0.* features.i.j.* of the blocks, of the last convolution features.n.*;
///          classifier.1.{weight,bias}
/// Throws:  c10::ValueError for num_classes or last_channel below 1, no stage, one that its block
///          refuses, a probability outside [0, 1], and for an input that is not [N, 3, H, W] of
///          the weights' type and device.
/// Differs: a Layout for inverted_residual_setting and last_channel.
/// Source:  torchvision.models.EfficientNet
class CONVKIT_API EfficientNetImpl : public Classifier<EfficientNetImpl> {
 public:
  explicit EfficientNetImpl(Layout layout, const EfficientNetOptions& options = {});

  void reset() override;

  Layout layout;
  EfficientNetOptions options;
};
CONVKIT_MODULE(EfficientNet);

}  // namespace efficientnet

/// EfficientNets; their images grow with them, from 224 pixels for b0 to 600 for b7.
/// Source: torchvision.models
CONVKIT_API efficientnet::EfficientNet efficientnet_b0(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b1(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b2(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b3(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b4(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b5(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b6(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_b7(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_v2_s(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_v2_m(const EfficientNetOptions& options = {});
CONVKIT_API efficientnet::EfficientNet efficientnet_v2_l(const EfficientNetOptions& options = {});

}  // namespace convkit::models

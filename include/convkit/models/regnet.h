#pragma once

#include <convkit/blocks.h>
#include <convkit/models/classifier.h>
#include <convkit/norm.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace convkit::models {

/// Options of a RegNet.
struct RegNetOptions {
  int64_t num_classes = 1000;
  int64_t stem_width = 32;
  Norm norm_layer = {};
  Activation activation = {Activation::kReLU};
};

namespace regnet {

/// Options of ResBottleneckBlock.
struct CONVKIT_API BlockOptions {
  BlockOptions(int64_t width_in, int64_t width_out, int64_t stride)
      : width_in_(width_in), width_out_(width_out), stride_(stride) {}

  TORCH_ARG(int64_t, width_in);
  TORCH_ARG(int64_t, width_out);
  TORCH_ARG(int64_t, stride);
  TORCH_ARG(int64_t, group_width) = 1;  ///< the channels of each group of the 3x3 convolution
  TORCH_ARG(double, bottleneck_multiplier) = 1;
  /// With it a SqueezeExcitation to se_ratio width_in channels.
  TORCH_ARG(std::optional<double>, se_ratio) = std::nullopt;
  TORCH_ARG(Norm, norm_layer) = Norm();
  TORCH_ARG(Activation, activation) = Activation();
};

/// y = activation(proj(x) + f(x)), without proj where the shape stays: f is a 1x1 convolution, a 3x3
/// one in groups with the stride, each with a norm and an activation, SqueezeExcitation, and a 1x1
/// convolution with a norm.
///
/// Shape:   x [N, width_in, H, W] -> y [N, width_out, ceil(H / stride), ceil(W / stride)]
/// Keys:    proj.{0,1}.* f.{a,b,c}.{0,1}.* f.se.{fc1,fc2}.{weight,bias}
/// Throws:  c10::ValueError for a width, stride, group_width, bottleneck_multiplier width_out or
///          se_ratio width_in below 1, a norm_layer or activation kNone, and for an input that is
///          not [N, width_in, H, W] of the weights' type and device.
/// Source:  torchvision.models.regnet.ResBottleneckBlock; https://arxiv.org/abs/2003.13678
class CONVKIT_API ResBottleneckBlockImpl : public Block<ResBottleneckBlockImpl> {
 public:
  explicit ResBottleneckBlockImpl(BlockOptions options);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  BlockOptions options;
  Conv2dNormActivation proj{nullptr};
  Sequential f{nullptr};
  std::shared_ptr<torch::nn::Module> activation;
};
CONVKIT_MODULE(ResBottleneckBlock);

/// A stage of blocks: its width, how many there are, and the channels of a group.
struct Stage {
  int64_t width = 1;
  int64_t depth = 1;
  int64_t group_width = 1;
};

/// What makes one RegNet another.
struct CONVKIT_API BlockParams {
  std::vector<Stage> stages;
  double bottleneck_multiplier = 1;
  std::optional<double> se_ratio = std::nullopt;

  /// Widths that grow by w_a a block from w_0, in steps of the factor w_m, rounded to multiples of 8
  /// and of group_width; blocks of one width are a stage.
  ///
  /// Throws:  c10::ValueError for depth or group_width below 1, w_a < 0, w_0 that is no positive
  ///          multiple of 8, and w_m <= 1.
  /// Source:  torchvision.models.regnet.BlockParams.from_init_params
  static BlockParams from_init_params(int64_t depth, int64_t w_0, double w_a, double w_m,
                                      int64_t group_width, double bottleneck_multiplier = 1,
                                      std::optional<double> se_ratio = std::nullopt);
};

/// The parameters of a RegNet, by its name: regnet_x_400mf, ...
///
/// Throws:  c10::ValueError for any other name.
CONVKIT_API BlockParams block_params(const std::string& name);

/// y = fc(flattened avgpool(trunk_output(stem(x)))): a convolution, and stages that each halve the
/// size.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    stem.{0,1}.* trunk_output.block{1..}.block{i}-{j}.* of the blocks, fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes or stem_width below 1, no stage, one that its blocks
///          refuse, and for an input that is not [N, 3, H, W] of the weights' type and device.
/// Source:  torchvision.models.RegNet
/// Differs: it has no stem_type and block_type of your own, and all stages the stride 2.
class CONVKIT_API RegNetImpl : public Block<RegNetImpl>, public Backbone {
 public:
  explicit RegNetImpl(BlockParams block_params, const RegNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Gives the maps of the stem and of each stage.
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  BlockParams block_params;
  RegNetOptions options;
  Conv2dNormActivation stem{nullptr};
  Sequential trunk_output{nullptr};
  torch::nn::AdaptiveAvgPool2d avgpool{nullptr};
  torch::nn::Linear fc{nullptr};
};
CONVKIT_MODULE(RegNet);

}  // namespace regnet

/// RegNets of so many multiplications and additions in millions and thousands of millions; those
/// with y have SqueezeExcitation.
/// Source: torchvision.models
CONVKIT_API regnet::RegNet regnet_x_400mf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_x_800mf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_x_1_6gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_x_3_2gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_x_8gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_x_16gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_x_32gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_400mf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_800mf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_1_6gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_3_2gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_8gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_16gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_32gf(const RegNetOptions& options = {});
CONVKIT_API regnet::RegNet regnet_y_128gf(const RegNetOptions& options = {});

}  // namespace convkit::models

#pragma once

#include <convkit/models/classifier.h>

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/ordered_dict.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace convkit::models {

/// Options of an Inception v3.
struct InceptionV3Options {
  int64_t num_classes = 1000;
  bool aux_logits = true;        ///< a second head, which training alone uses
  bool transform_input = false;  ///< as transform_input() of convkit::models::inception does
  bool init_weights = true;  ///< truncated normal weights, instead of as torch's layers draw them
  double dropout = 0.5;
};

namespace inception {

/// y = relu(bn(conv(x))), a convolution without a bias.
///
/// Shape:   x [N, in_channels, H, W] -> y as of the convolution
/// Keys:    conv.weight bn.*
/// Throws:  c10::ValueError for options that torch::nn::Conv2d has no use for, and for an input that
///          is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  torchvision.models.inception.BasicConv2d, which googlenet has as well
class CONVKIT_API BasicConv2dImpl : public Block<BasicConv2dImpl> {
 public:
  explicit BasicConv2dImpl(const torch::nn::Conv2dOptions& options);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  torch::nn::Conv2dOptions options;
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
};
CONVKIT_MODULE(BasicConv2d);

/// The children of a block or network, by name, in Python's order.
using Layers = torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>;

/// The five kinds of blocks of the network, and what they give of x [N, in_channels, H, W].
enum class Mixed {
  kA,  ///< [N, 224 + channels, H, W], 1x1, 5x5 and two 3x3 convolutions, and a mean pool to channels
  kB,  ///< [N, 480 + in_channels, (H - 1) / 2, (W - 1) / 2]
  kC,  ///< [N, 768, H, W]: 1x1 convolutions, and 1x7 and 7x1 ones of so many channels inside
  kD,  ///< [N, 512 + in_channels, (H - 1) / 2, (W - 1) / 2]
  kE,  ///< [N, 2048, H, W]: 1x1 convolutions, and 1x3 and 3x1 ones side by side
};

/// y = branches of 1x1, 3x3, 5x5, 1x7 and 7x1 convolutions and a pool side by side.
///
/// Shape:   as Mixed says
/// Keys:    branch1x1.* branch3x3*.* branch5x5_{1,2}.* branch7x7*.* branch_pool.* of BasicConv2d, as
///          the kind has them
/// Throws:  c10::ValueError for channels below 1, and for an input that is not [N, in_channels, H, W]
///          of the weights' type and device.
/// Source:  torchvision.models.inception.InceptionA, InceptionB, InceptionC, InceptionD, InceptionE;
///          https://arxiv.org/abs/1512.00567
/// Differs: one class for the five.
class CONVKIT_API InceptionBlockImpl : public Block<InceptionBlockImpl> {
 public:
  /// `channels` are pool_features of kind A and channels_7x7 of kind C; the others leave them aside.
  InceptionBlockImpl(Mixed kind, int64_t in_channels, int64_t channels = 0);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  Mixed kind;
  int64_t in_channels;
  int64_t channels;
  Layers layers;

 private:
  torch::Tensor branch(const torch::Tensor& x, const std::string& name, int64_t steps);
};
CONVKIT_MODULE(InceptionBlock);

/// y = fc(mean of each channel of conv1(conv0(5x5 means of x))), the second head.
///
/// Shape:   x [N, in_channels, H, W], H and W at least 17 -> y [N, num_classes]
/// Keys:    conv0.* conv1.* of BasicConv2d, fc.{weight,bias}
/// Throws:  c10::ValueError for channels or num_classes below 1, and for an input that is not [N,
///          in_channels, H, W] of the weights' type and device.
/// Source:  torchvision.models.inception.InceptionAux
class CONVKIT_API InceptionAuxImpl : public Block<InceptionAuxImpl> {
 public:
  InceptionAuxImpl(int64_t in_channels, int64_t num_classes);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_channels;
  int64_t num_classes;
  BasicConv2d conv0{nullptr};
  BasicConv2d conv1{nullptr};
  torch::nn::Linear fc{nullptr};
};
CONVKIT_MODULE(InceptionAux);

/// The image as the first published weights want it: normalised to [-1, 1], where torchvision's
/// images have the mean and deviation of ImageNet.
CONVKIT_API torch::Tensor transform_input(const torch::Tensor& x);

/// y = fc(dropout(flattened avgpool(layers(x)))): six convolutions, eleven blocks.
///
///     auto net = convkit::models::inception_v3();
///     auto outputs = net->outputs(x);  // "logits", and in training "aux_logits"
///
/// Shape:   x [N, 3, H, W], H and W at least 75 -> y [N, num_classes]
/// Keys:    Conv2d_*.* Mixed_*.* AuxLogits.* fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, a dropout outside [0, 1], and for an input that
///          is not [N, 3, H, W] of the weights' type and device; c10::Error for a smaller image.
/// Source:  torchvision.models.Inception3
/// Differs: forward gives the logits alone, in training too; it has no blocks of your own.
class CONVKIT_API Inception3Impl : public Block<Inception3Impl>, public Backbone, public MultiHead {
 public:
  explicit Inception3Impl(const InceptionV3Options& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  Outputs outputs(const torch::Tensor& x) override;
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  InceptionV3Options options;
  Layers layers;  ///< Conv2d_1a_3x3 to Mixed_7c
  InceptionAux AuxLogits{nullptr};
  torch::nn::AdaptiveAvgPool2d avgpool{nullptr};
  torch::nn::Dropout dropout{nullptr};
  torch::nn::Linear fc{nullptr};

 private:
  torch::Tensor checked(const torch::Tensor& x) const;
  torch::Tensor head(const torch::Tensor& x);
};
CONVKIT_MODULE(Inception3);

}  // namespace inception

/// Source: torchvision.models.inception_v3
CONVKIT_API inception::Inception3 inception_v3(const InceptionV3Options& options = {});

}  // namespace convkit::models

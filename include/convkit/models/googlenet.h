#pragma once

#include <convkit/models/inception.h>

#include <cstdint>
#include <vector>

namespace convkit::models {

/// Options of a GoogLeNet.
struct GoogLeNetOptions {
  int64_t num_classes = 1000;
  bool aux_logits = true;        ///< two more heads, which training alone uses
  bool transform_input = false;  ///< as inception::transform_input() does
  bool init_weights = true;  ///< truncated normal weights, instead of as torch's layers draw them
  double dropout = 0.2;
  double dropout_aux = 0.7;
};

/// The blocks of GoogLeNet; the namespace that Python's module would have is the network's builder.
namespace googlenet_blocks {

/// The channels of an Inception block.
struct InceptionChannels {
  int64_t in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj;
};

/// y = [branch1(x); branch2(x); branch3(x); branch4(x)]: a 1x1 convolution, two times a 1x1 and a
/// 3x3 one, and a max pool with a 1x1 one.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W]
/// Keys:    branch1.* branch2.{0,1}.* branch3.{0,1}.* branch4.1.* of inception::BasicConv2d
/// Throws:  c10::ValueError for channels below 1, and for an input that is not [N, in_channels, H, W]
///          of the weights' type and device.
/// Source:  torchvision.models.googlenet.Inception, whose branch3 has 3x3 where the paper has 5x5;
///          https://arxiv.org/abs/1409.4842
class CONVKIT_API InceptionImpl : public Block<InceptionImpl> {
 public:
  explicit InceptionImpl(const InceptionChannels& channels);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  InceptionChannels channels;
  inception::BasicConv2d branch1{nullptr};
  Sequential branch2{nullptr};
  Sequential branch3{nullptr};
  Sequential branch4{nullptr};
};
CONVKIT_MODULE(Inception);

/// y = fc2(dropout(relu(fc1(flattened conv(4 x 4 means of x))))), another head.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, num_classes]
/// Keys:    conv.* of inception::BasicConv2d, fc1.{weight,bias} fc2.{weight,bias}
/// Throws:  c10::ValueError for channels or num_classes below 1, a dropout outside [0, 1], and for
///          an input that is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  torchvision.models.googlenet.InceptionAux
class CONVKIT_API InceptionAuxImpl : public Block<InceptionAuxImpl> {
 public:
  InceptionAuxImpl(int64_t in_channels, int64_t num_classes, double dropout = 0.7);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_channels;
  int64_t num_classes;
  double p;
  inception::BasicConv2d conv{nullptr};
  torch::nn::Linear fc1{nullptr};
  torch::nn::Linear fc2{nullptr};
  torch::nn::Dropout dropout{nullptr};
};
CONVKIT_MODULE(InceptionAux);

}  // namespace googlenet_blocks

/// y = fc(dropout(flattened avgpool(layers(x)))): three convolutions and nine Inception blocks, max
/// pools among them.
///
///     auto net = convkit::models::googlenet();
///     auto outputs = net->outputs(x);  // "logits", and in training "aux_logits2" and "aux_logits1"
///
/// Shape:   x [N, 3, H, W], H and W at least 15 -> y [N, num_classes]
/// Keys:    conv{1,2,3}.* inception{3a..5b}.* aux{1,2}.* fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, a dropout outside [0, 1], and for an input that
///          is not [N, 3, H, W] of the weights' type and device; c10::Error for a smaller image.
/// Source:  torchvision.models.GoogLeNet
/// Differs: forward gives the logits alone, in training too; it has no blocks of your own.
class CONVKIT_API GoogLeNetImpl : public Block<GoogLeNetImpl>, public Backbone, public MultiHead {
 public:
  explicit GoogLeNetImpl(const GoogLeNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  Outputs outputs(const torch::Tensor& x) override;
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  GoogLeNetOptions options;
  inception::Layers layers;  ///< conv1 to inception5b
  googlenet_blocks::InceptionAux aux1{nullptr};
  googlenet_blocks::InceptionAux aux2{nullptr};
  torch::nn::AdaptiveAvgPool2d avgpool{nullptr};
  torch::nn::Dropout dropout{nullptr};
  torch::nn::Linear fc{nullptr};

 private:
  torch::Tensor checked(const torch::Tensor& x) const;
  torch::Tensor head(const torch::Tensor& x);
};
CONVKIT_MODULE(GoogLeNet);

/// Source: torchvision.models.googlenet
CONVKIT_API GoogLeNet googlenet(const GoogLeNetOptions& options = {});

}  // namespace convkit::models

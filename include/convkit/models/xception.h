#pragma once

#include <convkit/models/classifier.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <cstdint>
#include <vector>

namespace convkit::models {

/// Options of an Xception.
struct XceptionOptions {
  int64_t num_classes = 1000;
  int64_t in_chans = 3;
  double drop_rate = 0;  ///< of the dropout before the linear layer
};

namespace xception {

/// y = pointwise(conv1(x)), conv1 depthwise, both without a bias.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, H', W'], as of torch::nn::Conv2d
/// Keys:    conv1.weight pointwise.weight
/// Throws:  c10::ValueError for channels, kernel_size, stride or dilation below 1, a negative padding,
///          and for an input that is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  timm.models.xception.SeparableConv2d; https://arxiv.org/abs/1610.02357
class CONVKIT_API SeparableConv2dImpl : public convkit::Block<SeparableConv2dImpl> {
 public:
  SeparableConv2dImpl(int64_t in_channels, int64_t out_channels, int64_t kernel_size = 1,
                      int64_t stride = 1, int64_t padding = 0, int64_t dilation = 1);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_channels;
  int64_t out_channels;
  int64_t kernel_size;
  int64_t stride;
  int64_t padding;
  int64_t dilation;
  torch::nn::Conv2d conv1{nullptr};
  torch::nn::Conv2d pointwise{nullptr};
};
CONVKIT_MODULE(SeparableConv2d);

/// Options of Block.
struct CONVKIT_API BlockOptions {
  BlockOptions(int64_t in_channels, int64_t out_channels, int64_t reps)
      : in_channels_(in_channels), out_channels_(out_channels), reps_(reps) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(int64_t, reps);  ///< the number of convolutions
  TORCH_ARG(int64_t, strides) = 1;
  TORCH_ARG(bool, start_with_relu) = true;
  TORCH_ARG(bool, grow_first) =
      true;  ///< whether the first convolution changes the channels, or the last
};

/// y = rep(x) + skipbn(skip(x)), or + x where the shape stays: rep has, reps times, a ReLU, a 3x3
/// SeparableConv2d and a norm, and with strides a max pool.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, ceil(H / strides), ceil(W / strides)]
/// Keys:    skip.weight skipbn.* rep.i.{conv1,pointwise}.weight rep.i.* of the norms
/// Throws:  c10::ValueError for channels, reps or strides below 1, and for an input that is not [N,
///          in_channels, H, W] of the weights' type and device.
/// Source:  timm.models.xception.Block
class CONVKIT_API BlockImpl : public convkit::Block<BlockImpl> {
 public:
  explicit BlockImpl(BlockOptions options);
  BlockImpl(int64_t in_channels, int64_t out_channels, int64_t reps)
      : BlockImpl(BlockOptions(in_channels, out_channels, reps)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  BlockOptions options;
  torch::nn::Conv2d skip{nullptr};         ///< null where the shape stays
  torch::nn::BatchNorm2d skipbn{nullptr};  ///< likewise
  Sequential rep{nullptr};
};
CONVKIT_MODULE(Block);

/// y = fc(dropout(global_pool(x'))): two convolutions, twelve blocks, and two SeparableConv2ds make x'.
///
/// Shape:   x [N, in_chans, H, W] -> y [N, num_classes]
/// Keys:    conv{1,2}.weight bn{1..4}.* block{1..12}.* of the blocks,
///          conv{3,4}.{conv1,pointwise}.weight fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes or in_chans below 1, a drop_rate outside [0, 1], and for
///          an input that is not [N, in_chans, H, W] of the weights' type and device.
/// Source:  timm.models.xception.Xception; https://arxiv.org/abs/1610.02357
/// Differs: it has no global_pool of your own.
class CONVKIT_API XceptionImpl : public convkit::Block<XceptionImpl>, public Backbone {
 public:
  explicit XceptionImpl(const XceptionOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Gives the five maps that timm's forward_intermediates gives: of the first convolutions, with a
  /// ReLU of block1, block2 and block11, and the last.
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  XceptionOptions options;
  torch::nn::Conv2d conv1{nullptr};
  torch::nn::BatchNorm2d bn1{nullptr};
  torch::nn::ReLU act1{nullptr};
  torch::nn::Conv2d conv2{nullptr};
  torch::nn::BatchNorm2d bn2{nullptr};
  torch::nn::ReLU act2{nullptr};
  std::array<xception::Block, 12> blocks = {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                            nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
  SeparableConv2d conv3{nullptr};
  torch::nn::BatchNorm2d bn3{nullptr};
  torch::nn::ReLU act3{nullptr};
  SeparableConv2d conv4{nullptr};
  torch::nn::BatchNorm2d bn4{nullptr};
  torch::nn::ReLU act4{nullptr};
  Sequential global_pool{nullptr};
  torch::nn::Linear fc{nullptr};

 private:
  torch::Tensor run(const torch::Tensor& x, std::vector<torch::Tensor>* maps);
};
CONVKIT_MODULE(Xception);

}  // namespace xception

/// Source: timm.models.legacy_xception
CONVKIT_API xception::Xception legacy_xception(const XceptionOptions& options = {});

}  // namespace convkit::models

#pragma once

#include <convkit/models/classifier.h>
#include <convkit/norm.h>

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <vector>

namespace convkit::models {

/// Options of a MobileNetV1.
struct MobileNetV1Options {
  int64_t num_classes = 1000;
  int64_t in_chans = 3;
  double channel_multiplier = 1;
  bool head_conv = false;  ///< whether a 1x1 convolution stands before the linear layer
  double drop_rate = 0;    ///< of the dropout before the linear layer
};

namespace mobilenetv1 {

/// y = bn2(conv_pw(bn1(conv_dw(x)))), a 3x3 depthwise convolution and a 1x1 one, both with a norm and
/// a ReLU6.
///
/// Shape:   x [N, in_chs, H, W] -> y [N, out_chs, ceil(H / stride), ceil(W / stride)]
/// Keys:    conv_dw.weight bn1.* conv_pw.weight bn2.*
/// Throws:  c10::ValueError for channels below 1, a stride other than 1 and 2, and for an input that is
///          not [N, in_chs, H, W] of the weights' type and device.
/// Source:  timm.models._efficientnet_blocks.DepthwiseSeparableConv; https://arxiv.org/abs/1704.04861
/// Differs: it is that of MobileNetV1: dw_kernel_size 3, noskip, pw_act and ReLU6.
class CONVKIT_API DepthwiseSeparableConvImpl : public Block<DepthwiseSeparableConvImpl> {
 public:
  DepthwiseSeparableConvImpl(int64_t in_chs, int64_t out_chs, int64_t stride = 1);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_chs;
  int64_t out_chs;
  int64_t stride;
  torch::nn::Conv2d conv_dw{nullptr};
  BatchNormAct2d bn1{nullptr};
  torch::nn::Conv2d conv_pw{nullptr};
  BatchNormAct2d bn2{nullptr};
};
CONVKIT_MODULE(DepthwiseSeparableConv);

/// y = classifier(dropout(global_pool(blocks(bn1(conv_stem(x)))))), bn2(conv_head(.)) after the blocks
/// if asked.
///
/// Shape:   x [N, in_chans, H, W] -> y [N, num_classes]
/// Keys:    conv_stem.weight bn1.* blocks.i.j.* of the blocks, conv_head.weight bn2.*
///          classifier.{weight,bias}
/// Throws:  c10::ValueError for num_classes or in_chans below 1, channel_multiplier <= 0, a drop_rate
///          outside [0, 1], and for an input that is not [N, in_chans, H, W] of the weights' type and
///          device.
/// Source:  timm.models.EfficientNet as mobilenetv1_100, mobilenetv1_100h and mobilenetv1_125 have it
/// Differs: it has no norm_layer, act_layer, pad_type and global_pool of your own, and no drop_path_rate,
///          which has no effect in blocks that add nothing.
class CONVKIT_API MobileNetV1Impl : public Block<MobileNetV1Impl>, public Backbone {
 public:
  explicit MobileNetV1Impl(const MobileNetV1Options& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Gives the maps of each of the five stages.
  std::vector<torch::Tensor> features(const torch::Tensor& x) override;

  MobileNetV1Options options;
  torch::nn::Conv2d conv_stem{nullptr};
  BatchNormAct2d bn1{nullptr};
  Sequential blocks{nullptr};
  torch::nn::Conv2d conv_head{nullptr};  ///< null without head_conv
  BatchNormAct2d bn2{nullptr};           ///< likewise
  Sequential global_pool{nullptr};
  torch::nn::Linear classifier{nullptr};
};
CONVKIT_MODULE(MobileNetV1);

}  // namespace mobilenetv1

/// Source: timm.models.mobilenetv1_100
CONVKIT_API mobilenetv1::MobileNetV1 mobilenetv1_100(const MobileNetV1Options& options = {});

}  // namespace convkit::models

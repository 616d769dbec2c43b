#pragma once

#include <convkit/models/classifier.h>
#include <convkit/norm.h>

#include <cstdint>

namespace convkit::models {

/// Options of a MobileNetV2.
struct MobileNetV2Options {
  int64_t num_classes = 1000;
  double width_mult = 1;
  int64_t round_nearest = 8;  ///< the numbers of channels are multiples of it
  Norm norm_layer = {};
  double dropout = 0.2;
};

namespace mobilenetv2 {

/// y = conv(x), plus x where the shape stays: a 1x1 convolution to expand_ratio times the channels
/// (none for 1), a depthwise 3x3 one, both with a norm and a ReLU6, and a 1x1 one with a norm.
///
/// Shape:   x [N, inp, H, W] -> y [N, oup, ceil(H / stride), ceil(W / stride)]
/// Keys:    conv.0.{0,1}.* conv.1.{0,1}.* conv.2.weight conv.3.*; for expand_ratio 1 conv.0.{0,1}.*
///          conv.1.weight conv.2.*
/// Throws:  c10::ValueError for channels or expand_ratio below 1, a stride other than 1 and 2, a
///          norm_layer kNone, and for an input that is not [N, inp, H, W] of the weights' type and
///          device.
/// Source:  torchvision.models.mobilenetv2.InvertedResidual; https://arxiv.org/abs/1801.04381
class CONVKIT_API InvertedResidualImpl : public Block<InvertedResidualImpl> {
 public:
  InvertedResidualImpl(int64_t inp, int64_t oup, int64_t stride, int64_t expand_ratio,
                       Norm norm_layer = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t inp;
  int64_t oup;
  int64_t stride;
  int64_t expand_ratio;
  Norm norm_layer;
  Sequential conv{nullptr};
};
CONVKIT_MODULE(InvertedResidual);

/// The network is a convolution, 17 inverted residuals and a 1x1 convolution; then the mean of each
/// channel, dropout and a linear layer.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    features.{0..18}.* classifier.1.{weight,bias}
/// Throws:  c10::ValueError for num_classes or round_nearest below 1, width_mult <= 0, a dropout
///          outside [0, 1], and for an input that is not [N, 3, H, W] of the weights' type and
///          device.
/// Source:  torchvision.models.MobileNetV2
/// Differs: it has no inverted_residual_setting and block of your own.
class CONVKIT_API MobileNetV2Impl : public Classifier<MobileNetV2Impl> {
 public:
  explicit MobileNetV2Impl(const MobileNetV2Options& options = {});

  void reset() override;

  MobileNetV2Options options;
};
CONVKIT_MODULE(MobileNetV2);

}  // namespace mobilenetv2

/// Source: torchvision.models.mobilenet_v2
CONVKIT_API mobilenetv2::MobileNetV2 mobilenet_v2(const MobileNetV2Options& options = {});

}  // namespace convkit::models

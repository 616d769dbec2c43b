#pragma once

#include <convkit/models/classifier.h>
#include <convkit/norm.h>

#include <cstdint>
#include <vector>

namespace convkit::models {

/// Options of a MobileNetV3.
struct MobileNetV3Options {
  int64_t num_classes = 1000;
  double width_mult = 1;
  bool reduced_tail = false;  ///< half the channels in the last blocks
  bool dilated = false;       ///< the last blocks dilate instead of halving the size
  Norm norm_layer = {.eps = 1e-3, .momentum = 0.01};
  double dropout = 0.2;
};

namespace mobilenetv3 {

/// One block of the network, as tables 1 and 2 of the paper have it.
struct InvertedResidualConfig {
  int64_t input_channels = 0;
  int64_t kernel = 3;
  int64_t expanded_channels = 0;
  int64_t out_channels = 0;
  bool use_se = false;  ///< whether there is a SqueezeExcitation
  bool use_hs = false;  ///< whether the activation is Hardswish; else it is ReLU
  int64_t stride = 1;   ///< it has no effect with a dilation above 1
  int64_t dilation = 1;
};

/// y = block(x), plus x where the shape stays: a 1x1 convolution to expanded_channels (none where x
/// has as many), a depthwise one, both with a norm and an activation, SqueezeExcitation with a
/// Hardsigmoid if asked, and a 1x1 convolution with a norm.
///
/// Shape:   x [N, input_channels, H, W] -> y [N, out_channels, ceil(H / stride), ceil(W / stride)];
///          with a dilation above 1 the stride is 1
/// Keys:    block.i.* of Conv2dNormActivation and SqueezeExcitation
/// Throws:  c10::ValueError for channels, kernel or dilation below 1, a stride other than 1 and 2,
///          a norm_layer kNone, and for an input that is not [N, input_channels, H, W] of the
///          weights' type and device.
/// Source:  torchvision.models.mobilenetv3.InvertedResidual; https://arxiv.org/abs/1905.02244
class CONVKIT_API InvertedResidualImpl : public Block<InvertedResidualImpl> {
 public:
  explicit InvertedResidualImpl(const InvertedResidualConfig& config,
                                Norm norm_layer = {.eps = 1e-3, .momentum = 0.01});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  InvertedResidualConfig config;
  Norm norm_layer;
  Sequential block{nullptr};
};
CONVKIT_MODULE(InvertedResidual);

/// The two networks of the paper.
enum class Size { kLarge, kSmall };

/// The network is a convolution, the inverted residuals and a 1x1 convolution; then the mean of
/// each channel and two linear layers.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes]
/// Keys:    features.i.* classifier.{0,3}.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, width_mult <= 0, a dropout outside [0, 1], and
///          for an input that is not [N, 3, H, W] of the weights' type and device.
/// Source:  torchvision.models.MobileNetV3
/// Differs: a Size for inverted_residual_setting and last_channel; no block of your own.
class CONVKIT_API MobileNetV3Impl : public Classifier<MobileNetV3Impl> {
 public:
  explicit MobileNetV3Impl(Size size, const MobileNetV3Options& options = {});

  void reset() override;

  Size size;
  MobileNetV3Options options;
};
CONVKIT_MODULE(MobileNetV3);

}  // namespace mobilenetv3

/// Source: torchvision.models.mobilenet_v3_large and mobilenet_v3_small
CONVKIT_API mobilenetv3::MobileNetV3 mobilenet_v3_large(const MobileNetV3Options& options = {});
CONVKIT_API mobilenetv3::MobileNetV3 mobilenet_v3_small(const MobileNetV3Options& options = {});

}  // namespace convkit::models

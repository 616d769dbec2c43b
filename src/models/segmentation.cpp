#include <convkit/models/mobilenetv3.h>
#include <convkit/models/resnet.h>
#include <convkit/models/segmentation.h>
#include <convkit/segmentation.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/upsample_bilinear2d.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/pooling.h>

#include <cstddef>

namespace convkit::models {

namespace nn = torch::nn;

namespace segmentation {

namespace {

constexpr std::size_t kEarlier = 4;  // of a MobileNetV3's features the last one of 1/8

nn::Conv2d conv1x1(int64_t in_channels, int64_t out_channels, bool bias) {
  return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).bias(bias));
}

/// torchvision's FCNHead.
Sequential fcn_head(int64_t in_channels, int64_t num_classes) {
  const int64_t channels = in_channels / 4;
  return Sequential{nn::Conv2d(nn::Conv2dOptions(in_channels, channels, 3).padding(1).bias(false)),
                    nn::BatchNorm2d(channels), nn::ReLU(), nn::Dropout(0.1),
                    conv1x1(channels, num_classes, true)};
}

/// torchvision's DeepLabHead.
Sequential deeplab_head(int64_t in_channels, int64_t num_classes) {
  return Sequential{ASPP(in_channels, std::vector<int64_t>{12, 24, 36}),
                    nn::Conv2d(nn::Conv2dOptions(256, 256, 3).padding(1).bias(false)),
                    nn::BatchNorm2d(256), nn::ReLU(), conv1x1(256, num_classes, true)};
}

Sequential mobilenet_features() {
  return mobilenet_v3_large({.dilated = true})->features_;
}

/// A backbone, and the channels of its last and of its earlier map.
struct MadeBackbone {
  std::shared_ptr<nn::Module> module;
  int64_t channels, earlier_channels;
};

MadeBackbone make_backbone(const char* network, BackboneKind kind) {
  if (kind == BackboneKind::kMobileNetV3Large) return {mobilenet_features().ptr(), 960, 40};
  TORCH_CHECK_VALUE(kind == BackboneKind::kResNet50 || kind == BackboneKind::kResNet101, network,
                    ": expected one of BackboneKind, got ", static_cast<int>(kind));
  const ResNetOptions options{.replace_stride_with_dilation = {false, true, true},
                              .features_only = true};
  const bool small = kind == BackboneKind::kResNet50;
  return {(small ? resnet50(options) : resnet101(options)).ptr(), 2048, 1024};
}

}  // namespace

detail::Maps detail::maps_of(const std::string& network, nn::Module& backbone,
                             const torch::Tensor& x, bool wants_aux) {
  if (auto* net = backbone.as<resnet::ResNet>()) {
    if (!wants_aux) return {forward_child(*net, x), {}};
    const std::vector<torch::Tensor> maps = net->features(x);
    return {maps[4], maps[3]};
  }
  auto& layers = *backbone.as<Sequential>();
  models::detail::check_image_for(network, *layers[0], x);
  Maps maps{x, {}};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    maps.out = forward_child(*layers[i], maps.out);
    if (wants_aux && i == kEarlier) maps.aux = maps.out;
  }
  return maps;
}

torch::Tensor detail::resized(const torch::Tensor& y, const torch::Tensor& x) {
  return at::upsample_bilinear2d(y, {x.size(2), x.size(3)}, /*align_corners=*/false);
}

FCNImpl::FCNImpl(BackboneKind kind, const SegmentationOptions& options)
    : kind(kind), options(options) {
  FCNImpl::reset();
}

void FCNImpl::reset() {
  models::detail::check_num_classes("FCN", options.num_classes);
  TORCH_CHECK_VALUE(kind != BackboneKind::kMobileNetV3Large,
                    "FCN: expected a ResNet, got kMobileNetV3Large");
  const MadeBackbone made = make_backbone("FCN", kind);
  // Python makes the second head first, and registers it last.
  const Sequential second =
      options.aux_loss ? fcn_head(made.earlier_channels, options.num_classes) : nullptr;
  backbone = register_module("backbone", made.module);
  classifier = register_module("classifier", fcn_head(made.channels, options.num_classes));
  if (second) aux_classifier = register_module("aux_classifier", second);
}

DeepLabV3Impl::DeepLabV3Impl(BackboneKind kind, const SegmentationOptions& options)
    : kind(kind), options(options) {
  DeepLabV3Impl::reset();
}

void DeepLabV3Impl::reset() {
  models::detail::check_num_classes("DeepLabV3", options.num_classes);
  const MadeBackbone made = make_backbone("DeepLabV3", kind);
  const Sequential second =
      options.aux_loss ? fcn_head(made.earlier_channels, options.num_classes) : nullptr;
  backbone = register_module("backbone", made.module);
  classifier = register_module("classifier", deeplab_head(made.channels, options.num_classes));
  if (second) aux_classifier = register_module("aux_classifier", second);
}

LRASPPHeadImpl::LRASPPHeadImpl(int64_t low_channels, int64_t high_channels, int64_t num_classes,
                               int64_t inter_channels)
    : low_channels(low_channels),
      high_channels(high_channels),
      num_classes(num_classes),
      inter_channels(inter_channels) {
  LRASPPHeadImpl::reset();
}

void LRASPPHeadImpl::reset() {
  constexpr const char* kName = "LRASPPHead";
  convkit::detail::check_positive(kName, "low_channels", low_channels);
  convkit::detail::check_positive(kName, "high_channels", high_channels);
  convkit::detail::check_positive(kName, "inter_channels", inter_channels);
  models::detail::check_num_classes(kName, num_classes);
  cbr = register_module("cbr", Sequential{conv1x1(high_channels, inter_channels, false),
                                          nn::BatchNorm2d(inter_channels),
                                          nn::ReLU(nn::ReLUOptions(/*inplace=*/true))});
  scale = register_module(
      "scale", Sequential{nn::AdaptiveAvgPool2d(1), conv1x1(high_channels, inter_channels, false),
                          nn::Sigmoid()});
  low_classifier = register_module("low_classifier", conv1x1(low_channels, num_classes, true));
  high_classifier = register_module("high_classifier", conv1x1(inter_channels, num_classes, true));
}

torch::Tensor LRASPPHeadImpl::forward(const torch::Tensor& low, const torch::Tensor& high) {
  using convkit::detail::Batch;
  convkit::detail::check_input("LRASPPHead", low, low_channels, Batch::kRequired,
                               low_classifier->weight);
  convkit::detail::check_input("LRASPPHead", high, high_channels, Batch::kRequired,
                               low_classifier->weight);
  torch::Tensor y = cbr(high);
  y = detail::resized(y * scale(high), low);
  const torch::Tensor near = low_classifier(low);
  return near + high_classifier(y);
}

LRASPPImpl::LRASPPImpl(const SegmentationOptions& options) : options(options) {
  LRASPPImpl::reset();
}

void LRASPPImpl::reset() {
  models::detail::check_num_classes("LRASPP", options.num_classes);
  TORCH_CHECK_VALUE(!options.aux_loss, "LRASPP: expected no aux_loss, for it has no second head");
  backbone = register_module("backbone", mobilenet_features());
  classifier = register_module("classifier", LRASPPHead(40, 960, options.num_classes, 128));
}

torch::Tensor LRASPPImpl::forward(const torch::Tensor& x) {
  const detail::Maps maps = detail::maps_of("LRASPP", *backbone, x, /*wants_aux=*/true);
  return detail::resized(classifier(maps.aux, maps.out), x);
}

MultiHead::Outputs LRASPPImpl::outputs(const torch::Tensor& x) {
  Outputs outputs;
  outputs.insert("out", forward(x));
  return outputs;
}

}  // namespace segmentation

segmentation::FCN fcn_resnet50(const SegmentationOptions& options) {
  return segmentation::FCN(segmentation::BackboneKind::kResNet50, options);
}
segmentation::FCN fcn_resnet101(const SegmentationOptions& options) {
  return segmentation::FCN(segmentation::BackboneKind::kResNet101, options);
}
segmentation::DeepLabV3 deeplabv3_resnet50(const SegmentationOptions& options) {
  return segmentation::DeepLabV3(segmentation::BackboneKind::kResNet50, options);
}
segmentation::DeepLabV3 deeplabv3_resnet101(const SegmentationOptions& options) {
  return segmentation::DeepLabV3(segmentation::BackboneKind::kResNet101, options);
}
segmentation::DeepLabV3 deeplabv3_mobilenet_v3_large(const SegmentationOptions& options) {
  return segmentation::DeepLabV3(segmentation::BackboneKind::kMobileNetV3Large, options);
}
segmentation::LRASPP lraspp_mobilenet_v3_large(const SegmentationOptions& options) {
  return segmentation::LRASPP(options);
}

}  // namespace convkit::models

#pragma once

#include <convkit/models/classifier.h>

#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <memory>
#include <string>

namespace convkit::models {

/// Options of an FCN, a DeepLabV3 or an LRASPP.
struct SegmentationOptions {
  int64_t num_classes = 21;
  /// A second head, on the map of 1/8 (of a dilated ResNet layer3's); an LRASPP refuses it.
  bool aux_loss = false;
};

/// torchvision's networks that give each pixel its class.
namespace segmentation {

/// The backbones of torchvision's builders: dilated ResNets without fc, whose maps are 1/8 of the
/// image, and the features of a dilated MobileNetV3, of 1/16.
enum class BackboneKind { kResNet50, kResNet101, kMobileNetV3Large };

namespace detail {

struct Maps {
  torch::Tensor out, aux;
};

/// Runs a backbone, and gives its last map and, if asked, an earlier one.
CONVKIT_API Maps maps_of(const std::string& network, torch::nn::Module& backbone,
                         const torch::Tensor& x, bool wants_aux);

/// Gives y the height and width of x, bilinearly.
CONVKIT_API torch::Tensor resized(const torch::Tensor& y, const torch::Tensor& x);

}  // namespace detail

/// y = classifier(backbone(x)), resized bilinearly to the image; the second head, aux_classifier,
/// does the same with an earlier map. forward gives `out` alone and leaves the second head out.
///
///     auto net = convkit::models::fcn_resnet50({.aux_loss = true});
///     auto outputs = net->outputs(x);  // "out" and "aux"
template <typename Derived>
class SegmentationModel : public Block<Derived>, public MultiHead {
 public:
  torch::Tensor forward(const torch::Tensor& x) override {
    const auto maps = detail::maps_of(this->name(), *backbone, x, /*wants_aux=*/false);
    return detail::resized(classifier(maps.out), x);
  }

  Outputs outputs(const torch::Tensor& x) override {
    const auto maps = detail::maps_of(this->name(), *backbone, x, !aux_classifier.is_empty());
    Outputs outputs;
    outputs.insert("out", detail::resized(classifier(maps.out), x));
    if (aux_classifier) outputs.insert("aux", detail::resized(aux_classifier(maps.aux), x));
    return outputs;
  }

  std::shared_ptr<torch::nn::Module> backbone;
  Sequential classifier{nullptr};
  Sequential aux_classifier{nullptr};  ///< null without aux_loss
};

/// The heads are two convolutions, a 3x3 one to a quarter of the channels and a 1x1 one.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes, H, W]
/// Keys:    backbone.* of the ResNet, {classifier,aux_classifier}.0.weight .1.* .4.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, a MobileNetV3, and for an input that is not [N,
///          3, H, W] of the weights' type and device.
/// Source:  torchvision.models.segmentation.FCN; https://arxiv.org/abs/1411.4038
/// Differs: forward gives `out`, outputs() all; backbone and heads follow from a BackboneKind.
class CONVKIT_API FCNImpl : public SegmentationModel<FCNImpl> {
 public:
  explicit FCNImpl(BackboneKind kind, const SegmentationOptions& options = {});

  void reset() override;

  BackboneKind kind;
  SegmentationOptions options;
};
CONVKIT_MODULE(FCN);

/// The head is ASPP of rates 12, 24 and 36, a 3x3 and a 1x1 convolution; the second head is FCN's.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes, H, W]
/// Keys:    backbone.* of the ResNet or of the features of the MobileNetV3; classifier.0.* of ASPP,
///          classifier.1.weight classifier.2.* classifier.4.{weight,bias}; aux_classifier.* as FCN's
/// Throws:  c10::ValueError for num_classes below 1, and for an input that is not [N, 3, H, W] of the
///          weights' type and device.
/// Source:  torchvision.models.segmentation.DeepLabV3; https://arxiv.org/abs/1706.05587
/// Differs: forward gives `out`, outputs() all; backbone and heads follow from a BackboneKind.
class CONVKIT_API DeepLabV3Impl : public SegmentationModel<DeepLabV3Impl> {
 public:
  explicit DeepLabV3Impl(BackboneKind kind, const SegmentationOptions& options = {});

  void reset() override;

  BackboneKind kind;
  SegmentationOptions options;
};
CONVKIT_MODULE(DeepLabV3);

/// y = low_classifier(low) + high_classifier(cbr(high) scale(high), resized to low): two maps of a
/// network, so it is no Block.
///
/// Shape:   low [N, low_channels, H, W], high [N, high_channels, h, w] -> y [N, num_classes, H, W]
/// Keys:    cbr.0.weight cbr.1.* scale.1.weight {low,high}_classifier.{weight,bias}
/// Throws:  c10::ValueError for channels or num_classes below 1, and for maps of other channels.
/// Source:  torchvision.models.segmentation.lraspp.LRASPPHead
class CONVKIT_API LRASPPHeadImpl : public Cloneable<LRASPPHeadImpl> {
 public:
  LRASPPHeadImpl(int64_t low_channels, int64_t high_channels, int64_t num_classes,
                 int64_t inter_channels);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& low, const torch::Tensor& high);

  int64_t low_channels;
  int64_t high_channels;
  int64_t num_classes;
  int64_t inter_channels;
  Sequential cbr{nullptr};
  Sequential scale{nullptr};
  torch::nn::Conv2d low_classifier{nullptr};
  torch::nn::Conv2d high_classifier{nullptr};
};
CONVKIT_MODULE(LRASPPHead);

/// y = classifier(the maps of 1/8 and 1/16 of the features of a dilated MobileNetV3), resized
/// bilinearly to the image.
///
/// Shape:   x [N, 3, H, W] -> y [N, num_classes, H, W]
/// Keys:    backbone.* of the MobileNetV3's features, classifier.* of LRASPPHead
/// Throws:  c10::ValueError for num_classes below 1, an aux_loss, and for an input that is not [N, 3,
///          H, W] of the weights' type and device.
/// Source:  torchvision.models.segmentation.LRASPP; https://arxiv.org/abs/1905.02244
/// Differs: it has the backbone of torchvision's builder, and 128 inter_channels.
class CONVKIT_API LRASPPImpl : public Block<LRASPPImpl>, public MultiHead {
 public:
  explicit LRASPPImpl(const SegmentationOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  Outputs outputs(const torch::Tensor& x) override;

  SegmentationOptions options;
  Sequential backbone{nullptr};
  LRASPPHead classifier{nullptr};
};
CONVKIT_MODULE(LRASPP);

}  // namespace segmentation

/// Source: torchvision.models.segmentation
CONVKIT_API segmentation::FCN fcn_resnet50(const SegmentationOptions& options = {});
CONVKIT_API segmentation::FCN fcn_resnet101(const SegmentationOptions& options = {});
CONVKIT_API segmentation::DeepLabV3 deeplabv3_resnet50(const SegmentationOptions& options = {});
CONVKIT_API segmentation::DeepLabV3 deeplabv3_resnet101(const SegmentationOptions& options = {});
CONVKIT_API segmentation::DeepLabV3 deeplabv3_mobilenet_v3_large(
    const SegmentationOptions& options = {});
CONVKIT_API segmentation::LRASPP lraspp_mobilenet_v3_large(const SegmentationOptions& options = {});

}  // namespace convkit::models

#pragma once

#include <convkit/models/classifier.h>

#include <array>
#include <cstdint>
#include <string>

namespace convkit::models {

/// Options of a VGG.
struct VGGOptions {
  int64_t num_classes = 1000;
  /// Whether the weights begin Kaiming-normal, instead of as torch's layers draw them.
  bool init_weights = true;
  double dropout = 0.5;
};

namespace vgg {

/// What makes one VGG another: how many convolutions stand before each max pool, and whether each
/// has a batch norm.
struct Layout {
  std::array<int64_t, 5> convolutions = {1, 1, 2, 2, 2};
  bool batch_norm = false;
};

/// The layout of a VGG, by its name: vgg11, vgg16_bn, ...
///
/// Throws:  c10::ValueError for any other name.
CONVKIT_API Layout layout(const std::string& name);

/// y = classifier(flattened avgpool(features(x))): 3x3 convolutions with a ReLU, of 64 to 512
/// channels, a max pool after each of five groups of them, the mean of 7 x 7 fields, and three
/// linear layers.
///
/// Shape:   x [N, 3, H, W], H and W at least 32 -> y [N, num_classes]
/// Keys:    features.i.* of each convolution and batch norm, classifier.{0,3,6}.{weight,bias}
/// Throws:  c10::ValueError for num_classes or a number of convolutions below 1, a dropout outside
///          [0, 1], and for an input that is not [N, 3, H, W] of the weights' type and device;
///          c10::Error for a smaller image.
/// Source:  torchvision.models.VGG; https://arxiv.org/abs/1409.1556
/// Differs: a Layout for the features.
class CONVKIT_API VGGImpl : public Classifier<VGGImpl> {
 public:
  explicit VGGImpl(const Layout& layout, const VGGOptions& options = {});

  void reset() override;

  Layout layout;
  VGGOptions options;
};
CONVKIT_MODULE(VGG);

}  // namespace vgg

/// VGGs of so many layers with weights, and with batch norms.
/// Source: torchvision.models
CONVKIT_API vgg::VGG vgg11(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg11_bn(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg13(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg13_bn(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg16(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg16_bn(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg19(const VGGOptions& options = {});
CONVKIT_API vgg::VGG vgg19_bn(const VGGOptions& options = {});

}  // namespace convkit::models

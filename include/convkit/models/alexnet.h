#pragma once

#include <convkit/models/classifier.h>

#include <cstdint>

namespace convkit::models {

/// Options of an AlexNet.
struct AlexNetOptions {
  int64_t num_classes = 1000;
  double dropout = 0.5;
};

/// y = classifier(flattened avgpool(features(x))): five convolutions with a ReLU, max pools after
/// the first, second and last, the mean of 6 x 6 fields, and three linear layers.
///
/// Shape:   x [N, 3, H, W], H and W at least 63 -> y [N, num_classes]
/// Keys:    features.{0,3,6,8,10}.{weight,bias} classifier.{1,4,6}.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, a dropout outside [0, 1], and for an input that
///          is not [N, 3, H, W] of the weights' type and device; c10::Error for a smaller image.
/// Source:  torchvision.models.AlexNet; https://arxiv.org/abs/1404.5997
class CONVKIT_API AlexNetImpl : public Classifier<AlexNetImpl> {
 public:
  explicit AlexNetImpl(const AlexNetOptions& options = {});

  void reset() override;

  AlexNetOptions options;
};
CONVKIT_MODULE(AlexNet);

/// Source: torchvision.models.alexnet
CONVKIT_API AlexNet alexnet(const AlexNetOptions& options = {});

}  // namespace convkit::models

#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/pooling.h>
#include <torch/ordered_dict.h>

#include <cstddef>
#include <string>
#include <vector>

/// The base classes of the networks of models/.
namespace convkit::models {

/// A network that gives its intermediate maps to the heads of segmentation and detection.
class CONVKIT_API Backbone {
 public:
  Backbone() = default;
  Backbone(const Backbone&) = default;
  Backbone& operator=(const Backbone&) = default;
  virtual ~Backbone();

  /// Gives the last map before each layer with a stride, and the last of all: for an image
  /// [N, 3, H, W] maps of about H / 2, H / 4, ... H / 32 (ConvNeXt begins with H / 4). A ResNet
  /// that dilates gives five, too.
  virtual std::vector<torch::Tensor> features(const torch::Tensor& x) = 0;
};

/// A network with more than one result. Its forward gives the main one, so that it runs wherever
/// one tensor is expected, and computes no more than that.
class CONVKIT_API MultiHead {
 public:
  using Outputs = torch::OrderedDict<std::string, torch::Tensor>;  ///< by Python's names

  MultiHead() = default;
  MultiHead(const MultiHead&) = default;
  MultiHead& operator=(const MultiHead&) = default;
  virtual ~MultiHead();

  /// Gives all that Python's forward gives in the same mode, under Python's names, the main result
  /// first.
  virtual Outputs outputs(const torch::Tensor& x) = 0;
};

namespace detail {

/// Throws c10::ValueError unless x is [N, C, H, W] as the first convolution, in `stem`, takes it.
CONVKIT_API void check_image_for(const std::string& network, const torch::nn::Module& stem,
                                 const torch::Tensor& x);

}  // namespace detail

/// A Backbone whose layers stand in one Sequential, in the order in which they run.
template <typename Derived>
class LayeredBackbone : public Block<Derived>, public Backbone {
 public:
  std::vector<torch::Tensor> features(const torch::Tensor& x) override {
    std::vector<torch::Tensor> maps;
    torch::Tensor y = checked(x);
    for (std::size_t i = 0; i < features_->size(); ++i) {
      if (halves_[i] && i > 0) maps.push_back(y);
      y = forward_child(*features_[i], y);
    }
    maps.push_back(y);
    return maps;
  }

  Sequential features_{nullptr};  ///< the child `features`, which MNASNet calls `layers`

 protected:
  /// Begins the child `features` anew.
  void reset_features(const char* name = "features") {
    features_ = this->register_module(name, Sequential());
    halves_.clear();
  }

  /// Appends a layer to `features`, and notes whether it makes the map smaller.
  void add_feature(SequentialChild layer, bool halves = false) {
    features_->push_back(std::move(layer));
    halves_.push_back(halves);
  }

  /// Returns the image itself, if it is one that the first convolution takes.
  [[nodiscard]] const torch::Tensor& checked(const torch::Tensor& x) const {
    detail::check_image_for(this->name(), *(*features_)[0], x);
    return x;
  }

 private:
  std::vector<bool> halves_;
};

/// y = classifier(flattened avgpool(features(x))), as many of torchvision's networks are.
template <typename Derived>
class Classifier : public LayeredBackbone<Derived> {
 public:
  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = this->features_(this->checked(x));
    y = avgpool(y).flatten(1);
    return classifier(y);
  }

  torch::nn::AdaptiveAvgPool2d avgpool{nullptr};
  Sequential classifier{nullptr};

 protected:
  /// Begins `features` anew, and makes an avgpool to one number, which MobileNetV2 has as no child.
  void reset_features() {
    LayeredBackbone<Derived>::reset_features();
    avgpool = torch::nn::AdaptiveAvgPool2d(1);
  }
};

}  // namespace convkit::models

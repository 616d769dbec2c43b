#include <convkit/models/alexnet.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

namespace convkit::models {

namespace nn = torch::nn;

AlexNetImpl::AlexNetImpl(const AlexNetOptions& options) : options(options) {
  AlexNetImpl::reset();
}

void AlexNetImpl::reset() {
  constexpr const char* kName = "AlexNet";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  const auto add_convolution = [this](const nn::Conv2dOptions& convolution, bool halves) {
    add_feature(nn::Conv2d(convolution), halves);
    add_feature(nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
  };
  const auto add_pool = [this] {
    add_feature(nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2)), true);
  };
  reset_features();
  add_convolution(nn::Conv2dOptions(3, 64, 11).stride(4).padding(2), true);
  add_pool();
  add_convolution(nn::Conv2dOptions(64, 192, 5).padding(2), false);
  add_pool();
  add_convolution(nn::Conv2dOptions(192, 384, 3).padding(1), false);
  add_convolution(nn::Conv2dOptions(384, 256, 3).padding(1), false);
  add_convolution(nn::Conv2dOptions(256, 256, 3).padding(1), false);
  add_pool();
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(6));
  classifier = register_module(
      "classifier",
      Sequential{nn::Dropout(options.dropout), nn::Linear(256 * 6 * 6, 4096),
                 nn::ReLU(nn::ReLUOptions(/*inplace=*/true)), nn::Dropout(options.dropout),
                 nn::Linear(4096, 4096), nn::ReLU(nn::ReLUOptions(/*inplace=*/true)),
                 nn::Linear(4096, options.num_classes)});
}

AlexNet alexnet(const AlexNetOptions& options) {
  return AlexNet(options);
}

}  // namespace convkit::models

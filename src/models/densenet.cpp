#include <convkit/models/densenet.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/pooling.h>

#include <cstddef>
#include <string>

namespace convkit::models {

namespace nn = torch::nn;

using detail::conv1x1;
using detail::relu;

namespace densenet {

namespace {

/// torchvision's _Transition: half the channels, and half the size.
Sequential transition(int64_t num_input_features) {
  return Sequential{{"norm", nn::BatchNorm2d(num_input_features)},
                    {"relu", relu()},
                    {"conv", conv1x1(num_input_features, num_input_features / 2)},
                    {"pool", nn::AvgPool2d(nn::AvgPool2dOptions(2).stride(2))}};
}

}  // namespace

DenseLayerImpl::DenseLayerImpl(int64_t num_input_features, int64_t growth_rate, int64_t bn_size,
                               double drop_rate)
    : num_input_features(num_input_features),
      growth_rate(growth_rate),
      bn_size(bn_size),
      drop_rate(drop_rate) {
  DenseLayerImpl::reset();
}

void DenseLayerImpl::reset() {
  constexpr const char* kName = "DenseLayer";
  convkit::detail::check_positive(kName, "num_input_features", num_input_features);
  convkit::detail::check_positive(kName, "growth_rate", growth_rate);
  convkit::detail::check_positive(kName, "bn_size", bn_size);
  convkit::detail::check_positive(kName, "bn_size growth_rate", bn_size * growth_rate);
  convkit::detail::check_probability(kName, "drop_rate", drop_rate);
  const int64_t inside = bn_size * growth_rate;
  norm1 = register_module("norm1", nn::BatchNorm2d(num_input_features));
  relu1 = register_module("relu1", relu());
  conv1 = register_module("conv1", conv1x1(num_input_features, inside));
  norm2 = register_module("norm2", nn::BatchNorm2d(inside));
  relu2 = register_module("relu2", relu());
  conv2 = register_module(
      "conv2", nn::Conv2d(nn::Conv2dOptions(inside, growth_rate, 3).padding(1).bias(false)));
}

torch::Tensor DenseLayerImpl::forward(const std::vector<torch::Tensor>& features) {
  TORCH_CHECK_VALUE(!features.empty(), "DenseLayer: expected at least one map, got none");
  const torch::Tensor x = torch::cat(features, 1);
  convkit::detail::check_input("DenseLayer", x, num_input_features,
                               convkit::detail::Batch::kRequired, conv1->weight);
  torch::Tensor y = conv1(relu1(norm1(x)));
  y = conv2(relu2(norm2(y)));
  return drop_rate > 0 ? torch::dropout(y, drop_rate, is_training()) : y;
}

std::string DenseLayerImpl::current_key(const std::string& key) const {
  for (const std::string old : {"norm.1.", "conv.1.", "norm.2.", "conv.2."}) {
    if (key.starts_with(old)) return old.substr(0, 4) + key.substr(5);
  }
  return key;
}

DenseBlockImpl::DenseBlockImpl(int64_t num_layers, int64_t num_input_features, int64_t bn_size,
                               int64_t growth_rate, double drop_rate)
    : num_layers(num_layers),
      num_input_features(num_input_features),
      bn_size(bn_size),
      growth_rate(growth_rate),
      drop_rate(drop_rate) {
  DenseBlockImpl::reset();
}

void DenseBlockImpl::reset() {
  convkit::detail::check_positive("DenseBlock", "num_layers", num_layers);
  layers.clear();
  for (int64_t i = 0; i < num_layers; ++i) {
    layers.push_back(register_module(
        "denselayer" + std::to_string(i + 1),
        DenseLayer(num_input_features + i * growth_rate, growth_rate, bn_size, drop_rate)));
  }
}

torch::Tensor DenseBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("DenseBlock", x, num_input_features,
                               convkit::detail::Batch::kRequired, layers[0]->conv1->weight);
  std::vector<torch::Tensor> features{x};
  for (DenseLayer& layer : layers) features.push_back(layer(features));
  return torch::cat(features, 1);
}

Layout layout(const std::string& name) {
  if (name == "densenet121") return {32, {6, 12, 24, 16}, 64};
  if (name == "densenet161") return {48, {6, 12, 36, 24}, 96};
  if (name == "densenet169") return {32, {6, 12, 32, 32}, 64};
  if (name == "densenet201") return {32, {6, 12, 48, 32}, 64};
  TORCH_CHECK_VALUE(false, "densenet::layout: expected the name of a DenseNet, got \"", name, "\"");
}

DenseNetImpl::DenseNetImpl(const Layout& layout, const DenseNetOptions& options)
    : layout(layout), options(options) {
  DenseNetImpl::reset();
}

void DenseNetImpl::reset() {
  constexpr const char* kName = "DenseNet";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_positive(kName, "num_init_features", layout.num_init_features);
  reset_features();
  int64_t channels = layout.num_init_features;
  add_feature(
      {"conv0", nn::Conv2d(nn::Conv2dOptions(3, channels, 7).stride(2).padding(3).bias(false))},
      true);
  add_feature({"norm0", nn::BatchNorm2d(channels)});
  add_feature({"relu0", relu()});
  add_feature({"pool0", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1))}, true);
  for (std::size_t i = 0; i < layout.block_config.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    const int64_t num_layers = layout.block_config[i];
    add_feature({"denseblock" + number, DenseBlock(num_layers, channels, options.bn_size,
                                                   layout.growth_rate, options.drop_rate)});
    channels += num_layers * layout.growth_rate;
    if (i + 1 < layout.block_config.size()) {
      add_feature({"transition" + number, transition(channels)}, true);
      channels /= 2;
    }
  }
  add_feature({"norm5", nn::BatchNorm2d(channels)});
  classifier = register_module("classifier", nn::Linear(channels, options.num_classes));

  for (const auto& module : modules(/*include_self=*/false)) {
    if (const auto* conv = module->as<nn::Conv2d>()) nn::init::kaiming_normal_(conv->weight);
  }
  nn::init::zeros_(classifier->bias);
}

torch::Tensor DenseNetImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = features_(checked(x));
  torch::relu_(y);
  y = torch::adaptive_avg_pool2d(y, {1, 1}).flatten(1);
  return classifier(y);
}

}  // namespace densenet

densenet::DenseNet densenet121(const DenseNetOptions& options) {
  return densenet::DenseNet(densenet::layout("densenet121"), options);
}
densenet::DenseNet densenet161(const DenseNetOptions& options) {
  return densenet::DenseNet(densenet::layout("densenet161"), options);
}
densenet::DenseNet densenet169(const DenseNetOptions& options) {
  return densenet::DenseNet(densenet::layout("densenet169"), options);
}
densenet::DenseNet densenet201(const DenseNetOptions& options) {
  return densenet::DenseNet(densenet::layout("densenet201"), options);
}

}  // namespace convkit::models

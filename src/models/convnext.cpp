#include <convkit/init.h>
#include <convkit/models/convnext.h>
#include <convkit/norm.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/normalization.h>

namespace convkit::models {

namespace nn = torch::nn;

namespace convnext {

namespace {

constexpr double kEps = 1e-6;

std::vector<CNBlockConfig> stages(int64_t width, int64_t third_layers) {
  return {{width, 2 * width, 3},
          {2 * width, 4 * width, 3},
          {4 * width, 8 * width, third_layers},
          {8 * width, std::nullopt, 3}};
}

}  // namespace

CNBlockImpl::CNBlockImpl(int64_t dim, double layer_scale, double stochastic_depth_prob)
    : dim(dim), initial_layer_scale(layer_scale), stochastic_depth_prob(stochastic_depth_prob) {
  CNBlockImpl::reset();
}

void CNBlockImpl::reset() {
  convkit::detail::check_positive("CNBlock", "dim", dim);
  convkit::detail::check_positive("CNBlock", "4 dim", 4 * dim);
  const auto depthwise = nn::Conv2dOptions(dim, dim, 7).padding(3).groups(dim);
  block = register_module(
      "block",
      Sequential{nn::Conv2d(depthwise), Permute(std::vector<int64_t>{0, 2, 3, 1}),
                 nn::LayerNorm(nn::LayerNormOptions({dim}).eps(kEps)), nn::Linear(dim, 4 * dim),
                 nn::GELU(), nn::Linear(4 * dim, dim), Permute(std::vector<int64_t>{0, 3, 1, 2})});
  layer_scale = register_parameter("layer_scale", torch::ones({dim, 1, 1}) * initial_layer_scale);
  stochastic_depth = register_module(
      "stochastic_depth", StochasticDepth(stochastic_depth_prob, StochasticDepthMode::kRow));
}

torch::Tensor CNBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("CNBlock", x, dim, convkit::detail::Batch::kRequired, layer_scale);
  torch::Tensor y = stochastic_depth(layer_scale * block(x));
  y += x;
  return y;
}

ConvNeXtImpl::ConvNeXtImpl(std::vector<CNBlockConfig> block_setting, const ConvNeXtOptions& options)
    : block_setting(std::move(block_setting)), options(options) {
  ConvNeXtImpl::reset();
}

void ConvNeXtImpl::reset() {
  constexpr const char* kName = "ConvNeXt";
  const double stochastic_depth_prob = options.stochastic_depth_prob.value_or(0);
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "stochastic_depth_prob", stochastic_depth_prob);
  TORCH_CHECK_VALUE(!block_setting.empty(), kName, ": expected at least one stage, got none");
  int64_t blocks = 0;
  for (const CNBlockConfig& stage : block_setting) {
    convkit::detail::check_positive(kName, "input_channels", stage.input_channels);
    convkit::detail::check_positive(kName, "num_layers", stage.num_layers);
    blocks += stage.num_layers;
  }

  int64_t channels = block_setting[0].input_channels;
  reset_features();
  add_feature(Conv2dNormActivation(Conv2dNormActivationOptions(3, channels)
                                       .kernel_size(4)
                                       .stride(4)
                                       .padding(torch::ExpandingArray<2>(0))
                                       .norm({.kind = Norm::kLayerNorm2d, .eps = kEps})
                                       .activation({Activation::kNone})
                                       .bias(true)),
              true);
  int64_t id = 0;
  for (const CNBlockConfig& stage : block_setting) {
    TORCH_CHECK_VALUE(stage.input_channels == channels, kName, ": expected a stage of ", channels,
                      " channels after the one before, got ", stage.input_channels);
    Sequential stage_blocks;
    for (int64_t i = 0; i < stage.num_layers; ++i, ++id) {
      const double probability = blocks == 1 ? 0.0
                                             : stochastic_depth_prob * static_cast<double>(id) /
                                                   (static_cast<double>(blocks) - 1.0);
      stage_blocks->push_back(CNBlock(channels, options.layer_scale, probability));
    }
    add_feature(stage_blocks, false);
    if (!stage.out_channels) continue;
    convkit::detail::check_positive(kName, "out_channels", *stage.out_channels);
    const auto halving = nn::Conv2dOptions(channels, *stage.out_channels, 2).stride(2);
    add_feature(Sequential{LayerNorm2d(channels, kEps),
                           nn::Conv2d(convkit::detail::checked(kName, halving))},
                true);
    channels = *stage.out_channels;
  }
  register_module("avgpool", avgpool);
  classifier =
      register_module("classifier", Sequential{LayerNorm2d(channels, kEps),
                                               nn::Flatten(nn::FlattenOptions().start_dim(1)),
                                               nn::Linear(channels, options.num_classes)});
  for (const auto& module : modules(/*include_self=*/false)) {
    const auto* conv = module->as<nn::Conv2d>();
    const auto* linear = module->as<nn::Linear>();
    if (conv == nullptr && linear == nullptr) continue;
    trunc_normal_(conv != nullptr ? conv->weight : linear->weight, 0, 0.02);
    nn::init::zeros_(conv != nullptr ? conv->bias : linear->bias);
  }
}

torch::Tensor ConvNeXtImpl::forward(const torch::Tensor& x) {
  check_size(x);
  return classifier(avgpool(features_(checked(x))));  // its norm needs the image's four dimensions
}

std::vector<torch::Tensor> ConvNeXtImpl::features(const torch::Tensor& x) {
  check_size(x);
  return Classifier::features(x);
}

void ConvNeXtImpl::check_size(const torch::Tensor& x) const {
  int64_t smallest = 4;
  for (const CNBlockConfig& stage : block_setting) smallest *= stage.out_channels ? 2 : 1;
  const torch::Tensor& image = checked(x);
  TORCH_CHECK_VALUE(image.size(2) >= smallest && image.size(3) >= smallest,
                    "ConvNeXt: expected a height and width >= ", smallest, ", got ", x.sizes());
}

namespace {

ConvNeXt make(int64_t width, int64_t third_layers, double stochastic_depth_prob,
              ConvNeXtOptions options) {
  options.stochastic_depth_prob = options.stochastic_depth_prob.value_or(stochastic_depth_prob);
  return ConvNeXt(stages(width, third_layers), options);
}

}  // namespace

}  // namespace convnext

convnext::ConvNeXt convnext_tiny(const ConvNeXtOptions& options) {
  return convnext::make(96, 9, 0.1, options);
}
convnext::ConvNeXt convnext_small(const ConvNeXtOptions& options) {
  return convnext::make(96, 27, 0.4, options);
}
convnext::ConvNeXt convnext_base(const ConvNeXtOptions& options) {
  return convnext::make(128, 27, 0.5, options);
}
convnext::ConvNeXt convnext_large(const ConvNeXtOptions& options) {
  return convnext::make(192, 27, 0.5, options);
}

}  // namespace convkit::models

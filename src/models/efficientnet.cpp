#include <convkit/attention.h>
#include <convkit/init.h>
#include <convkit/models/efficientnet.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/dropout.h>

#include <array>
#include <cmath>

namespace convkit::models {

namespace nn = torch::nn;

namespace efficientnet {

namespace {

int64_t check_config(const char* name, const MBConvConfig& config, const Norm& norm_layer) {
  convkit::detail::check_positive(name, "input_channels", config.input_channels);
  convkit::detail::check_positive(name, "out_channels", config.out_channels);
  detail::check_stride(name, config.stride);
  detail::check_norm_layer(name, norm_layer);
  convkit::detail::check_positive(name, "kernel", config.kernel);
  TORCH_CHECK_VALUE(config.expand_ratio >= 1 && config.expand_ratio < 1e6, name,
                    ": expected 1 <= expand_ratio < 10^6, got ", config.expand_ratio);
  const int64_t expanded =
      make_divisible(static_cast<double>(config.input_channels) * config.expand_ratio, 8);
  convkit::detail::check_positive(name, "input_channels expand_ratio", expanded);
  return expanded;
}

Conv2dNormActivationOptions layer(int64_t in_channels, int64_t out_channels,
                                  const Norm& norm_layer) {
  return Conv2dNormActivationOptions(in_channels, out_channels)
      .norm(norm_layer)
      .activation({Activation::kSiLU});
}

torch::Tensor residual(const MBConvConfig& config, Sequential& block, StochasticDepth& depth,
                       const torch::Tensor& x) {
  torch::Tensor y = block(x);
  if (config.stride != 1 || config.input_channels != config.out_channels) return y;
  y = depth(y);
  y += x;
  return y;
}

}  // namespace

MBConvImpl::MBConvImpl(const MBConvConfig& config, double stochastic_depth_prob, Norm norm_layer)
    : config(config), stochastic_depth_prob(stochastic_depth_prob), norm_layer(norm_layer) {
  MBConvImpl::reset();
}

void MBConvImpl::reset() {
  const int64_t expanded = check_config("MBConv", config, norm_layer);
  block = register_module("block", Sequential());
  if (expanded != config.input_channels) {
    block->push_back(
        Conv2dNormActivation(layer(config.input_channels, expanded, norm_layer).kernel_size(1)));
  }
  block->push_back(Conv2dNormActivation(layer(expanded, expanded, norm_layer)
                                            .kernel_size(config.kernel)
                                            .stride(config.stride)
                                            .groups(expanded)));
  const int64_t squeezed = std::max<int64_t>(1, config.input_channels / 4);
  block->push_back(SqueezeExcitation(
      SqueezeExcitationOptions(expanded, squeezed).activation({Activation::kSiLU})));
  block->push_back(Conv2dNormActivation(layer(expanded, config.out_channels, norm_layer)
                                            .kernel_size(1)
                                            .activation({Activation::kNone})));
  stochastic_depth = register_module(
      "stochastic_depth", StochasticDepth(stochastic_depth_prob, StochasticDepthMode::kRow));
}

torch::Tensor MBConvImpl::forward(const torch::Tensor& x) {
  detail::check_image_for("MBConv", *block[0], x);
  return residual(config, block, stochastic_depth, x);
}

FusedMBConvImpl::FusedMBConvImpl(const MBConvConfig& config, double stochastic_depth_prob,
                                 Norm norm_layer)
    : config(config), stochastic_depth_prob(stochastic_depth_prob), norm_layer(norm_layer) {
  FusedMBConvImpl::reset();
}

void FusedMBConvImpl::reset() {
  const int64_t expanded = check_config("FusedMBConv", config, norm_layer);
  const bool expands = expanded != config.input_channels;
  block = register_module("block", Sequential());
  block->push_back(Conv2dNormActivation(
      layer(config.input_channels, expands ? expanded : config.out_channels, norm_layer)
          .kernel_size(config.kernel)
          .stride(config.stride)));
  if (expands) {
    block->push_back(Conv2dNormActivation(layer(expanded, config.out_channels, norm_layer)
                                              .kernel_size(1)
                                              .activation({Activation::kNone})));
  }
  stochastic_depth = register_module(
      "stochastic_depth", StochasticDepth(stochastic_depth_prob, StochasticDepthMode::kRow));
}

torch::Tensor FusedMBConvImpl::forward(const torch::Tensor& x) {
  detail::check_image_for("FusedMBConv", *block[0], x);
  return residual(config, block, stochastic_depth, x);
}

EfficientNetImpl::EfficientNetImpl(Layout layout, const EfficientNetOptions& options)
    : layout(std::move(layout)), options(options) {
  EfficientNetImpl::reset();
}

void EfficientNetImpl::reset() {
  constexpr const char* kName = "EfficientNet";
  const double dropout = options.dropout.value_or(layout.dropout);
  const Norm norm_layer = options.norm_layer.value_or(layout.norm_layer);
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", dropout);
  convkit::detail::check_probability(kName, "stochastic_depth_prob", options.stochastic_depth_prob);
  detail::check_norm_layer(kName, norm_layer);
  TORCH_CHECK_VALUE(!layout.stages.empty(), kName, ": expected at least one stage, got none");
  int64_t blocks = 0;
  for (const MBConvConfig& stage : layout.stages) {
    convkit::detail::check_positive(kName, "input_channels", stage.input_channels);
    convkit::detail::check_positive(kName, "out_channels", stage.out_channels);
    convkit::detail::check_positive(kName, "num_layers", stage.num_layers);
    blocks += stage.num_layers;
  }

  reset_features();
  add_feature(Conv2dNormActivation(layer(3, layout.stages[0].input_channels, norm_layer).stride(2)),
              true);
  int64_t id = 0;
  for (const MBConvConfig& stage : layout.stages) {
    Sequential stage_blocks;
    MBConvConfig config = stage;
    for (int64_t i = 0; i < stage.num_layers; ++i, ++id) {
      const double probability =
          options.stochastic_depth_prob * static_cast<double>(id) / static_cast<double>(blocks);
      if (stage.fused) {
        stage_blocks->push_back(FusedMBConv(config, probability, norm_layer));
      } else {
        stage_blocks->push_back(MBConv(config, probability, norm_layer));
      }
      config.input_channels = config.out_channels;
      config.stride = 1;
    }
    add_feature(stage_blocks, stage.stride == 2);
  }
  const int64_t channels = layout.stages.back().out_channels;
  const int64_t last_channel = layout.last_channel.value_or(4 * channels);
  convkit::detail::check_positive(kName, "last_channel", last_channel);
  add_feature(Conv2dNormActivation(layer(channels, last_channel, norm_layer).kernel_size(1)),
              false);
  register_module("avgpool", avgpool);
  classifier = register_module("classifier",
                               Sequential{nn::Dropout(nn::DropoutOptions(dropout).inplace(true)),
                                          nn::Linear(last_channel, options.num_classes)});
  detail::start_convolutions(*this);
  detail::start_linears(*this, [](nn::LinearImpl& linear) {
    const double range = 1.0 / std::sqrt(static_cast<double>(linear.options.out_features()));
    nn::init::uniform_(linear.weight, -range, range);
  });
}

namespace {

/// B0's stages with their widths and depths multiplied.
Layout scaled(double width_mult, double depth_mult, double dropout, Norm norm_layer = {}) {
  constexpr std::array kStages = {
      MBConvConfig{1, 3, 1, 32, 16, 1},   MBConvConfig{6, 3, 2, 16, 24, 2},
      MBConvConfig{6, 5, 2, 24, 40, 2},   MBConvConfig{6, 3, 2, 40, 80, 3},
      MBConvConfig{6, 5, 1, 80, 112, 3},  MBConvConfig{6, 5, 2, 112, 192, 4},
      MBConvConfig{6, 3, 1, 192, 320, 1},
  };
  Layout layout{{kStages.begin(), kStages.end()}, dropout, norm_layer, std::nullopt};
  for (MBConvConfig& stage : layout.stages) {
    const auto width = [width_mult](int64_t channels) {
      return make_divisible(static_cast<double>(channels) * width_mult, 8);
    };
    stage.input_channels = width(stage.input_channels);
    stage.out_channels = width(stage.out_channels);
    stage.num_layers =
        static_cast<int64_t>(std::ceil(static_cast<double>(stage.num_layers) * depth_mult));
  }
  return layout;
}

Layout version2(std::vector<MBConvConfig> stages, double dropout) {
  return {std::move(stages), dropout, {.eps = 1e-3}, 1280};
}

constexpr Norm kTensorFlows = {.eps = 1e-3, .momentum = 0.01};

}  // namespace

}  // namespace efficientnet

using efficientnet::EfficientNet;

EfficientNet efficientnet_b0(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.0, 1.0, 0.2), options);
}
EfficientNet efficientnet_b1(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.0, 1.1, 0.2), options);
}
EfficientNet efficientnet_b2(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.1, 1.2, 0.3), options);
}
EfficientNet efficientnet_b3(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.2, 1.4, 0.3), options);
}
EfficientNet efficientnet_b4(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.4, 1.8, 0.4), options);
}
EfficientNet efficientnet_b5(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.6, 2.2, 0.4, efficientnet::kTensorFlows), options);
}
EfficientNet efficientnet_b6(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(1.8, 2.6, 0.5, efficientnet::kTensorFlows), options);
}
EfficientNet efficientnet_b7(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::scaled(2.0, 3.1, 0.5, efficientnet::kTensorFlows), options);
}
EfficientNet efficientnet_v2_s(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::version2({{1, 3, 1, 24, 24, 2, true},
                                              {4, 3, 2, 24, 48, 4, true},
                                              {4, 3, 2, 48, 64, 4, true},
                                              {4, 3, 2, 64, 128, 6},
                                              {6, 3, 1, 128, 160, 9},
                                              {6, 3, 2, 160, 256, 15}},
                                             0.2),
                      options);
}
EfficientNet efficientnet_v2_m(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::version2({{1, 3, 1, 24, 24, 3, true},
                                              {4, 3, 2, 24, 48, 5, true},
                                              {4, 3, 2, 48, 80, 5, true},
                                              {4, 3, 2, 80, 160, 7},
                                              {6, 3, 1, 160, 176, 14},
                                              {6, 3, 2, 176, 304, 18},
                                              {6, 3, 1, 304, 512, 5}},
                                             0.3),
                      options);
}
EfficientNet efficientnet_v2_l(const EfficientNetOptions& options) {
  return EfficientNet(efficientnet::version2({{1, 3, 1, 32, 32, 4, true},
                                              {4, 3, 2, 32, 64, 7, true},
                                              {4, 3, 2, 64, 96, 7, true},
                                              {4, 3, 2, 96, 192, 10},
                                              {6, 3, 1, 192, 224, 19},
                                              {6, 3, 2, 224, 384, 25},
                                              {6, 3, 1, 384, 640, 7}},
                                             0.4),
                      options);
}

}  // namespace convkit::models

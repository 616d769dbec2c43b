#include <convkit/attention.h>
#include <convkit/blocks.h>
#include <convkit/init.h>
#include <convkit/models/mobilenetv3.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/dropout.h>

#include <array>
#include <span>

namespace convkit::models {

namespace nn = torch::nn;

namespace mobilenetv3 {

InvertedResidualImpl::InvertedResidualImpl(const InvertedResidualConfig& config, Norm norm_layer)
    : config(config), norm_layer(norm_layer) {
  InvertedResidualImpl::reset();
}

void InvertedResidualImpl::reset() {
  constexpr const char* kName = "InvertedResidual";
  convkit::detail::check_positive(kName, "input_channels", config.input_channels);
  convkit::detail::check_positive(kName, "out_channels", config.out_channels);
  detail::check_stride(kName, config.stride);
  detail::check_norm_layer(kName, norm_layer);
  convkit::detail::check_positive(kName, "kernel", config.kernel);
  convkit::detail::check_positive(kName, "expanded_channels", config.expanded_channels);
  convkit::detail::check_positive(kName, "dilation", config.dilation);
  const int64_t expanded = config.expanded_channels;
  const auto layer = [this](int64_t in_channels, int64_t out_channels) {
    return Conv2dNormActivationOptions(in_channels, out_channels)
        .kernel_size(1)
        .norm(norm_layer)
        .activation({config.use_hs ? Activation::kHardswish : Activation::kReLU});
  };
  block = register_module("block", Sequential());
  if (expanded != config.input_channels) {
    block->push_back(Conv2dNormActivation(layer(config.input_channels, expanded)));
  }
  block->push_back(Conv2dNormActivation(layer(expanded, expanded)
                                            .kernel_size(config.kernel)
                                            .stride(config.dilation > 1 ? 1 : config.stride)
                                            .dilation(config.dilation)
                                            .groups(expanded)));
  if (config.use_se) {
    const auto squeezed = make_divisible(static_cast<double>(expanded / 4), 8);
    block->push_back(SqueezeExcitation(
        SqueezeExcitationOptions(expanded, squeezed).scale_activation({Activation::kHardsigmoid})));
  }
  block->push_back(
      Conv2dNormActivation(layer(expanded, config.out_channels).activation({Activation::kNone})));
}

torch::Tensor InvertedResidualImpl::forward(const torch::Tensor& x) {
  detail::check_image_for("InvertedResidual", *block[0], x);
  torch::Tensor y = block(x);
  if (config.stride == 1 && config.input_channels == config.out_channels) y += x;
  return y;
}

namespace {

// input_channels, kernel, expanded_channels, out_channels, use_se, use_hs, stride
constexpr std::array kLarge = {
    InvertedResidualConfig{16, 3, 16, 16, false, false, 1},
    InvertedResidualConfig{16, 3, 64, 24, false, false, 2},
    InvertedResidualConfig{24, 3, 72, 24, false, false, 1},
    InvertedResidualConfig{24, 5, 72, 40, true, false, 2},
    InvertedResidualConfig{40, 5, 120, 40, true, false, 1},
    InvertedResidualConfig{40, 5, 120, 40, true, false, 1},
    InvertedResidualConfig{40, 3, 240, 80, false, true, 2},
    InvertedResidualConfig{80, 3, 200, 80, false, true, 1},
    InvertedResidualConfig{80, 3, 184, 80, false, true, 1},
    InvertedResidualConfig{80, 3, 184, 80, false, true, 1},
    InvertedResidualConfig{80, 3, 480, 112, true, true, 1},
    InvertedResidualConfig{112, 3, 672, 112, true, true, 1},
    InvertedResidualConfig{112, 5, 672, 160, true, true, 2},
    InvertedResidualConfig{160, 5, 960, 160, true, true, 1},
    InvertedResidualConfig{160, 5, 960, 160, true, true, 1},
};
constexpr std::array kSmall = {
    InvertedResidualConfig{16, 3, 16, 16, true, false, 2},
    InvertedResidualConfig{16, 3, 72, 24, false, false, 2},
    InvertedResidualConfig{24, 3, 88, 24, false, false, 1},
    InvertedResidualConfig{24, 5, 96, 40, true, true, 2},
    InvertedResidualConfig{40, 5, 240, 40, true, true, 1},
    InvertedResidualConfig{40, 5, 240, 40, true, true, 1},
    InvertedResidualConfig{40, 5, 120, 48, true, true, 1},
    InvertedResidualConfig{48, 5, 144, 48, true, true, 1},
    InvertedResidualConfig{48, 5, 288, 96, true, true, 2},
    InvertedResidualConfig{96, 5, 576, 96, true, true, 1},
    InvertedResidualConfig{96, 5, 576, 96, true, true, 1},
};
constexpr std::size_t kTail = 3;  // the last blocks, which may be reduced and dilated

}  // namespace

MobileNetV3Impl::MobileNetV3Impl(Size size, const MobileNetV3Options& options)
    : size(size), options(options) {
  MobileNetV3Impl::reset();
}

void MobileNetV3Impl::reset() {
  constexpr const char* kName = "MobileNetV3";
  detail::check_num_classes(kName, options.num_classes);
  TORCH_CHECK_VALUE(size == Size::kLarge || size == Size::kSmall, kName,
                    ": expected one of Size, got ", static_cast<int>(size));
  detail::check_multiplier(kName, "width_mult", options.width_mult);
  detail::check_norm_layer(kName, options.norm_layer);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  const auto width = [this](int64_t channels) {
    return make_divisible(static_cast<double>(channels) * options.width_mult, 8);
  };
  const auto layer = [this](int64_t in_channels, int64_t out_channels) {
    return Conv2dNormActivationOptions(in_channels, out_channels)
        .norm(options.norm_layer)
        .activation({Activation::kHardswish});
  };
  const bool large = size == Size::kLarge;
  const auto table = large ? std::span<const InvertedResidualConfig>(kLarge) : std::span(kSmall);
  const int64_t divider = options.reduced_tail ? 2 : 1;

  reset_features();
  int64_t channels = width(table[0].input_channels);
  add_feature(Conv2dNormActivation(layer(3, channels).stride(2)), true);
  for (std::size_t i = 0; i < table.size(); ++i) {
    InvertedResidualConfig config = table[i];
    if (i + kTail >= table.size()) {
      config.out_channels /= divider;
      if (i + kTail > table.size()) config.expanded_channels /= divider;
      if (options.dilated) config.dilation = 2;
    }
    config.input_channels = channels;
    config.expanded_channels = width(config.expanded_channels);
    config.out_channels = width(config.out_channels);
    add_feature(InvertedResidual(config, options.norm_layer),
                config.stride == 2 && config.dilation == 1);
    channels = config.out_channels;
  }
  add_feature(Conv2dNormActivation(layer(channels, 6 * channels).kernel_size(1)), false);
  register_module("avgpool", avgpool);
  const int64_t last_channel = width((large ? 1280 : 1024) / divider);
  classifier = register_module(
      "classifier", Sequential{nn::Linear(6 * channels, last_channel), Hardswish(/*inplace=*/true),
                               nn::Dropout(nn::DropoutOptions(options.dropout).inplace(true)),
                               nn::Linear(last_channel, options.num_classes)});
  detail::start_convolutions(*this);
  detail::start_linears(*this, [](auto& linear) { nn::init::normal_(linear.weight, 0, 0.01); });
}

}  // namespace mobilenetv3

mobilenetv3::MobileNetV3 mobilenet_v3_large(const MobileNetV3Options& options) {
  return mobilenetv3::MobileNetV3(mobilenetv3::Size::kLarge, options);
}
mobilenetv3::MobileNetV3 mobilenet_v3_small(const MobileNetV3Options& options) {
  return mobilenetv3::MobileNetV3(mobilenetv3::Size::kSmall, options);
}

}  // namespace convkit::models

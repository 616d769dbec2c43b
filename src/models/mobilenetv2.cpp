#include <convkit/blocks.h>
#include <convkit/init.h>
#include <convkit/models/mobilenetv2.h>

#include "core/check.h"
#include "layers/norm.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/dropout.h>

#include <algorithm>

namespace convkit::models {

namespace nn = torch::nn;

namespace mobilenetv2 {

InvertedResidualImpl::InvertedResidualImpl(int64_t inp, int64_t oup, int64_t stride,
                                           int64_t expand_ratio, Norm norm_layer)
    : inp(inp), oup(oup), stride(stride), expand_ratio(expand_ratio), norm_layer(norm_layer) {
  InvertedResidualImpl::reset();
}

void InvertedResidualImpl::reset() {
  constexpr const char* kName = "InvertedResidual";
  convkit::detail::check_positive(kName, "inp", inp);
  convkit::detail::check_positive(kName, "oup", oup);
  convkit::detail::check_positive(kName, "expand_ratio", expand_ratio);
  detail::check_stride(kName, stride);
  detail::check_norm_layer(kName, norm_layer);
  const int64_t hidden_dim = inp * expand_ratio;
  convkit::detail::check_positive(kName, "inp expand_ratio", hidden_dim);
  const auto layer = [this](int64_t in_channels, int64_t out_channels) {
    return Conv2dNormActivationOptions(in_channels, out_channels)
        .norm(norm_layer)
        .activation({Activation::kReLU6});
  };
  conv = register_module("conv", Sequential());
  if (expand_ratio != 1) {
    conv->push_back(Conv2dNormActivation(layer(inp, hidden_dim).kernel_size(1)));
  }
  conv->push_back(
      Conv2dNormActivation(layer(hidden_dim, hidden_dim).stride(stride).groups(hidden_dim)));
  conv->push_back(nn::Conv2d(nn::Conv2dOptions(hidden_dim, oup, 1).bias(false)));
  conv->push_back(convkit::detail::norm_of(kName, norm_layer, oup));
}

torch::Tensor InvertedResidualImpl::forward(const torch::Tensor& x) {
  detail::check_image_for("InvertedResidual", *conv[0], x);
  return stride == 1 && inp == oup ? x + conv(x) : conv(x);
}

MobileNetV2Impl::MobileNetV2Impl(const MobileNetV2Options& options) : options(options) {
  MobileNetV2Impl::reset();
}

void MobileNetV2Impl::reset() {
  constexpr const char* kName = "MobileNetV2";
  // A row of table 2 of the paper: how much wider than its input a block is inside, the channels
  // that it gives, how many blocks there are, and the stride of the first.
  struct Stage {
    int64_t expand_ratio, channels, blocks, stride;
  };
  constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                               {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  detail::check_num_classes(kName, options.num_classes);
  detail::check_multiplier(kName, "width_mult", options.width_mult);
  detail::check_norm_layer(kName, options.norm_layer);
  convkit::detail::check_positive(kName, "round_nearest", options.round_nearest);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  const auto width = [this](int64_t channels, double width_mult) {
    return make_divisible(static_cast<double>(channels) * width_mult, options.round_nearest);
  };
  const auto layer = [this](int64_t in_channels, int64_t out_channels) {
    return Conv2dNormActivationOptions(in_channels, out_channels)
        .norm(options.norm_layer)
        .activation({Activation::kReLU6});
  };

  reset_features();
  int64_t channels = width(32, options.width_mult);
  add_feature(Conv2dNormActivation(layer(3, channels).stride(2)), true);
  for (const Stage& stage : kStages) {
    const int64_t out_channels = width(stage.channels, options.width_mult);
    for (int64_t i = 0; i < stage.blocks; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      add_feature(
          InvertedResidual(channels, out_channels, stride, stage.expand_ratio, options.norm_layer),
          stride == 2);
      channels = out_channels;
    }
  }
  const int64_t last_channel = width(1280, std::max(1.0, options.width_mult));
  add_feature(Conv2dNormActivation(layer(channels, last_channel).kernel_size(1)), false);
  classifier = register_module(
      "classifier",
      Sequential{nn::Dropout(options.dropout), nn::Linear(last_channel, options.num_classes)});
  detail::start_convolutions(*this);
  detail::start_linears(*this, [](auto& linear) { nn::init::normal_(linear.weight, 0, 0.01); });
}

}  // namespace mobilenetv2

mobilenetv2::MobileNetV2 mobilenet_v2(const MobileNetV2Options& options) {
  return mobilenetv2::MobileNetV2(options);
}

}  // namespace convkit::models

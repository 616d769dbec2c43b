#include <convkit/init.h>
#include <convkit/models/mobilenetv1.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/dropout.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <cmath>

namespace convkit::models {

namespace nn = torch::nn;

namespace mobilenetv1 {

namespace {

BatchNormAct2d norm(int64_t channels) {
  return BatchNormAct2d(BatchNormAct2dOptions(channels).act_layer({Activation::kReLU6}));
}

nn::Conv2dOptions conv3x3(int64_t in_channels, int64_t out_channels, int64_t stride) {
  return nn::Conv2dOptions(in_channels, out_channels, 3).stride(stride).padding(1).bias(false);
}

}  // namespace

DepthwiseSeparableConvImpl::DepthwiseSeparableConvImpl(int64_t in_chs, int64_t out_chs,
                                                       int64_t stride)
    : in_chs(in_chs), out_chs(out_chs), stride(stride) {
  DepthwiseSeparableConvImpl::reset();
}

void DepthwiseSeparableConvImpl::reset() {
  constexpr const char* kName = "DepthwiseSeparableConv";
  convkit::detail::check_positive(kName, "in_chs", in_chs);
  convkit::detail::check_positive(kName, "out_chs", out_chs);
  detail::check_stride(kName, stride);
  conv_dw = register_module("conv_dw", nn::Conv2d(conv3x3(in_chs, in_chs, stride).groups(in_chs)));
  bn1 = register_module("bn1", norm(in_chs));
  conv_pw = register_module("conv_pw", detail::conv1x1(in_chs, out_chs));
  bn2 = register_module("bn2", norm(out_chs));
}

torch::Tensor DepthwiseSeparableConvImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("DepthwiseSeparableConv", x, in_chs,
                               convkit::detail::Batch::kRequired, conv_dw->weight);
  return bn2(conv_pw(bn1(conv_dw(x))));
}

MobileNetV1Impl::MobileNetV1Impl(const MobileNetV1Options& options) : options(options) {
  MobileNetV1Impl::reset();
}

void MobileNetV1Impl::reset() {
  constexpr const char* kName = "MobileNetV1";
  struct Stage {
    int64_t channels, blocks;
  };
  constexpr Stage kStages[] = {{64, 1}, {128, 2}, {256, 2}, {512, 6}, {1024, 2}};
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_positive(kName, "in_chans", options.in_chans);
  detail::check_multiplier(kName, "channel_multiplier", options.channel_multiplier);
  convkit::detail::check_probability(kName, "drop_rate", options.drop_rate);
  const auto width = [this](int64_t channels) {
    return make_divisible(static_cast<double>(channels) * options.channel_multiplier, 8);
  };
  int64_t channels = width(32);
  conv_stem = register_module("conv_stem", nn::Conv2d(conv3x3(options.in_chans, channels, 2)));
  bn1 = register_module("bn1", norm(channels));
  // To see which options it has, timm makes a SqueezeExcite of 8 channels here and throws it away:
  // two convolutions, whose random numbers are drawn.
  for (int i = 0; i < 2; ++i) nn::Conv2d(nn::Conv2dOptions(8, 8, 1));
  blocks = register_module("blocks", Sequential());
  for (const Stage& stage : kStages) {
    Sequential layers;
    for (int64_t i = 0; i < stage.blocks; ++i) {
      const int64_t out_channels = width(stage.channels);
      const bool halves = i == 0 && blocks->size() > 0;
      layers->push_back(DepthwiseSeparableConv(channels, out_channels, halves ? 2 : 1));
      channels = out_channels;
    }
    blocks->push_back(layers);
  }
  if (options.head_conv) {
    const int64_t head = std::max<int64_t>(1024, width(1024));
    conv_head = register_module("conv_head", detail::conv1x1(channels, head));
    bn2 = register_module("bn2", norm(head));
    channels = head;
  }
  global_pool = register_module("global_pool", detail::mean_pool());
  classifier = register_module("classifier", nn::Linear(channels, options.num_classes));
  for (const auto& module : modules(/*include_self=*/false)) {
    const auto* conv = module->as<nn::Conv2d>();
    if (conv == nullptr) continue;
    // The weights that lead to one channel of a group.
    const int64_t fan_out = conv->weight.numel() / conv->weight.size(1) / conv->options.groups();
    nn::init::normal_(conv->weight, 0, std::sqrt(2.0 / static_cast<double>(fan_out)));
  }
  detail::start_linears(*this, [](auto& linear) {
    const double range = 1 / std::sqrt(static_cast<double>(linear.weight.size(0)));
    nn::init::uniform_(linear.weight, -range, range);
  });
}

torch::Tensor MobileNetV1Impl::forward(const torch::Tensor& x) {
  detail::check_image_for("MobileNetV1", *conv_stem, x);
  torch::Tensor y = blocks(bn1(conv_stem(x)));
  if (conv_head) y = bn2(conv_head(y));
  y = global_pool(y);
  if (options.drop_rate > 0) y = at::dropout(y, options.drop_rate, is_training());
  return classifier(y);
}

std::vector<torch::Tensor> MobileNetV1Impl::features(const torch::Tensor& x) {
  detail::check_image_for("MobileNetV1", *conv_stem, x);
  std::vector<torch::Tensor> maps;
  torch::Tensor y = bn1(conv_stem(x));
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    y = forward_child(*blocks[i], y);
    maps.push_back(y);
  }
  return maps;
}

}  // namespace mobilenetv1

mobilenetv1::MobileNetV1 mobilenetv1_100(const MobileNetV1Options& options) {
  return mobilenetv1::MobileNetV1(options);
}

}  // namespace convkit::models

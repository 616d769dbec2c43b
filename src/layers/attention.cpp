#include <convkit/attention.h>
#include <convkit/init.h>

#include "core/check.h"

#include <ATen/ops/cat.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <cmath>

namespace convkit {

namespace nn = torch::nn;

SqueezeExcitationImpl::SqueezeExcitationImpl(SqueezeExcitationOptions block_options)
    : options(std::move(block_options)) {
  SqueezeExcitationImpl::reset();
}

void SqueezeExcitationImpl::reset() {
  constexpr const char* kName = "SqueezeExcitation";
  detail::check_positive(kName, "input_channels", options.input_channels());
  detail::check_positive(kName, "squeeze_channels", options.squeeze_channels());
  TORCH_CHECK_VALUE(options.activation().kind != Activation::kNone &&
                        options.scale_activation().kind != Activation::kNone,
                    kName, ": expected an activation and a scale_activation, got kNone");
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  const auto linear = [](int64_t in_channels, int64_t out_channels) {
    return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1));
  };
  fc1 = register_module("fc1", linear(options.input_channels(), options.squeeze_channels()));
  fc2 = register_module("fc2", linear(options.squeeze_channels(), options.input_channels()));
  activation = register_module("activation", make_activation(options.activation()));
  scale_activation =
      register_module("scale_activation", make_activation(options.scale_activation()));
}

torch::Tensor SqueezeExcitationImpl::forward(const torch::Tensor& x) {
  detail::check_input("SqueezeExcitation", x, options.input_channels(), detail::Batch::kRequired,
                      fc1->weight);
  const torch::Tensor squeezed = forward_child(*activation, fc1(avgpool(x)));
  return forward_child(*scale_activation, fc2(squeezed)) * x;
}

EcaModuleImpl::EcaModuleImpl(EcaModuleOptions module_options) : options(std::move(module_options)) {
  EcaModuleImpl::reset();
}

void EcaModuleImpl::reset() {
  int64_t kernel_size = options.kernel_size();
  TORCH_CHECK_VALUE(options.gamma() > 0, "EcaModule: expected gamma > 0, got ", options.gamma());
  if (const auto channels = options.channels()) {
    detail::check_positive("EcaModule", "channels", *channels);
    const double suggested =
        std::abs(std::log2(static_cast<double>(*channels)) + options.beta()) / options.gamma();
    TORCH_CHECK_VALUE(suggested < 1e6, "EcaModule: expected a kernel below 10^6, got ", suggested);
    const auto length = static_cast<int64_t>(suggested);
    kernel_size = std::max<int64_t>(length % 2 == 1 ? length : length + 1, 3);
  }
  detail::check_positive("EcaModule", "kernel_size", kernel_size);
  TORCH_CHECK_VALUE(kernel_size % 2 == 1, "EcaModule: expected an odd kernel_size, got ",
                    kernel_size);
  conv = register_module(
      "conv",
      nn::Conv1d(nn::Conv1dOptions(1, 1, kernel_size).padding(kernel_size / 2).bias(false)));
}

torch::Tensor EcaModuleImpl::forward(const torch::Tensor& x) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() == 4, "EcaModule: expected input [N, C, H, W], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  const torch::Tensor means = x.mean({2, 3}).view({x.size(0), 1, -1});
  return x * conv(means).sigmoid().view({x.size(0), -1, 1, 1}).expand_as(x);
}

namespace {

/// CbamModule's weight for each channel; timm.layers.cbam.ChannelAttn.
class ChannelAttnImpl : public Block<ChannelAttnImpl> {
 public:
  ChannelAttnImpl(CbamModuleOptions cbam_options, int64_t rd_channels)
      : options(std::move(cbam_options)), rd_channels(rd_channels) {
    ChannelAttnImpl::reset();
  }

  void reset() override {
    const auto linear = [this](int64_t in_channels, int64_t out_channels) {
      return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).bias(options.mlp_bias()));
    };
    fc1 = register_module("fc1", linear(options.channels(), rd_channels));
    act = register_module("act", make_activation(options.act_layer(), /*inplace=*/true));
    fc2 = register_module("fc2", linear(rd_channels, options.channels()));
    gate = register_module("gate", make_activation(options.gate_layer()));
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    const auto mlp = [this](const torch::Tensor& t) { return fc2(forward_child(*act, fc1(t))); };
    const torch::Tensor means = mlp(x.mean({2, 3}, /*keepdim=*/true));
    const torch::Tensor maxima = mlp(x.amax({2, 3}, /*keepdim=*/true));
    return x * forward_child(*gate, means + maxima);
  }

  CbamModuleOptions options;
  int64_t rd_channels;
  nn::Conv2d fc1{nullptr};
  nn::Conv2d fc2{nullptr};
  std::shared_ptr<nn::Module> act;
  std::shared_ptr<nn::Module> gate;
};

/// CbamModule's weight for each pixel; timm.layers.cbam.SpatialAttn.
class SpatialAttnImpl : public Block<SpatialAttnImpl> {
 public:
  explicit SpatialAttnImpl(CbamModuleOptions cbam_options) : options(std::move(cbam_options)) {
    SpatialAttnImpl::reset();
  }

  void reset() override {
    const int64_t kernel_size = options.spatial_kernel_size();
    const auto conv_options =
        nn::Conv2dOptions(2, 1, kernel_size).padding(kernel_size / 2).bias(false);
    conv = register_module(
        "conv", Sequential{{"conv", nn::Conv2d(conv_options)}, {"bn", nn::BatchNorm2d(1)}});
    gate = register_module("gate", make_activation(options.gate_layer()));
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor pooled = at::cat({x.mean({1}, true), x.amax({1}, true)}, 1);
    return x * forward_child(*gate, conv(pooled));
  }

  CbamModuleOptions options;
  Sequential conv{nullptr};
  std::shared_ptr<nn::Module> gate;
};

}  // namespace

CbamModuleImpl::CbamModuleImpl(CbamModuleOptions module_options)
    : options(std::move(module_options)) {
  CbamModuleImpl::reset();
}

void CbamModuleImpl::reset() {
  constexpr const char* kName = "CbamModule";
  detail::check_positive(kName, "channels", options.channels());
  detail::check_positive(kName, "rd_divisor", options.rd_divisor());
  detail::check_positive(kName, "spatial_kernel_size", options.spatial_kernel_size());
  TORCH_CHECK_VALUE(options.spatial_kernel_size() % 2 == 1, kName,
                    ": expected an odd spatial_kernel_size, got ", options.spatial_kernel_size());
  TORCH_CHECK_VALUE(options.act_layer().kind != Activation::kNone &&
                        options.gate_layer().kind != Activation::kNone,
                    kName, ": expected an act_layer and a gate_layer, got kNone");
  TORCH_CHECK_VALUE(options.rd_ratio() > 0 && options.rd_ratio() < 1e6, kName,
                    ": expected 0 < rd_ratio < 10^6, got ", options.rd_ratio());
  const int64_t rd_channels = options.rd_channels().value_or(
      make_divisible(static_cast<double>(options.channels()) * options.rd_ratio(),
                     options.rd_divisor(), std::nullopt, /*round_limit=*/0));
  detail::check_positive(kName, "rd_channels", rd_channels);
  channel = register_module("channel", std::make_shared<ChannelAttnImpl>(options, rd_channels));
  spatial = register_module("spatial", std::make_shared<SpatialAttnImpl>(options));
}

torch::Tensor CbamModuleImpl::forward(const torch::Tensor& x) {
  const auto& fc1 = static_cast<ChannelAttnImpl&>(*channel).fc1;
  detail::check_input("CbamModule", x, options.channels(), detail::Batch::kRequired, fc1->weight);
  return forward_child(*spatial, forward_child(*channel, x));
}

SCSEModuleImpl::SCSEModuleImpl(int64_t in_channels, int64_t reduction)
    : in_channels(in_channels), reduction(reduction) {
  SCSEModuleImpl::reset();
}

void SCSEModuleImpl::reset() {
  detail::check_positive("SCSEModule", "in_channels", in_channels);
  detail::check_positive("SCSEModule", "reduction", reduction);
  TORCH_CHECK_VALUE(in_channels >= reduction,
                    "SCSEModule: expected in_channels >= reduction = ", reduction, ", got ",
                    in_channels);
  const int64_t reduced = in_channels / reduction;
  cSE = register_module(
      "cSE",
      Sequential{nn::AdaptiveAvgPool2d(1), nn::Conv2d(nn::Conv2dOptions(in_channels, reduced, 1)),
                 nn::ReLU(nn::ReLUOptions(/*inplace=*/true)),
                 nn::Conv2d(nn::Conv2dOptions(reduced, in_channels, 1)), nn::Sigmoid()});
  sSE = register_module(
      "sSE", Sequential{nn::Conv2d(nn::Conv2dOptions(in_channels, 1, 1)), nn::Sigmoid()});
}

torch::Tensor SCSEModuleImpl::forward(const torch::Tensor& x) {
  const torch::Tensor& weight = sSE[0]->as<nn::Conv2d>()->weight;
  detail::check_input("SCSEModule", x, in_channels, detail::Batch::kRequired, weight);
  const torch::Tensor channels = x * cSE(x);  // first, as in Python: gradients add up in this order
  return channels + x * sSE(x);
}

}  // namespace convkit

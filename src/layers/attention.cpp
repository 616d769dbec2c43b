#include <convkit/attention.h>
#include <convkit/init.h>

#include "core/check.h"
#include "layers/norm.h"

#include <ATen/ops/cat.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <cmath>

namespace convkit {

namespace nn = torch::nn;

namespace {

/// The hidden channels of a block: rd_channels, or about so many as the ratio gives.
int64_t hidden_channels(const char* module, double suggested, std::optional<int64_t> rd_channels,
                        int64_t rd_divisor) {
  const int64_t hidden =
      rd_channels.value_or(make_divisible(suggested, rd_divisor, std::nullopt, /*round_limit=*/0));
  detail::check_positive(module, "rd_channels", hidden);
  return hidden;
}

void check_ratio(const char* module, const char* option, double ratio) {
  TORCH_CHECK_VALUE(ratio > 0 && ratio < 1e6, module, ": expected 0 < ", option, " < 10^6, got ",
                    ratio);
}

void check_layers(const char* module, const Activation& act_layer, const Activation& gate_layer) {
  TORCH_CHECK_VALUE(act_layer.kind != Activation::kNone && gate_layer.kind != Activation::kNone,
                    module, ": expected an act_layer and a gate_layer, got kNone");
}

}  // namespace

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
  check_layers(kName, options.act_layer(), options.gate_layer());
  check_ratio(kName, "rd_ratio", options.rd_ratio());
  const int64_t rd_channels =
      hidden_channels(kName, static_cast<double>(options.channels()) * options.rd_ratio(),
                      options.rd_channels(), options.rd_divisor());
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

CoordAttnImpl::CoordAttnImpl(CoordAttnOptions module_options) : options(std::move(module_options)) {
  CoordAttnImpl::reset();
}

void CoordAttnImpl::reset() {
  constexpr const char* kName = "CoordAttn";
  detail::check_positive(kName, "channels", options.channels());
  detail::check_positive(kName, "rd_divisor", options.rd_divisor());
  check_layers(kName, options.act_layer(), options.gate_layer());
  check_ratio(kName, "rd_ratio", options.rd_ratio());
  check_ratio(kName, "se_factor", options.se_factor());
  const double suggested =
      static_cast<double>(options.channels()) * options.rd_ratio() * options.se_factor();
  const int64_t rd_channels =
      hidden_channels(kName, suggested, options.rd_channels(), options.rd_divisor());
  const auto linear = [this](int64_t in_channels, int64_t out_channels) {
    return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).bias(options.bias()));
  };
  conv1 = register_module("conv1", linear(options.channels(), rd_channels));
  bn1 = detail::norm_of(kName, options.norm_layer(), rd_channels);
  if (bn1 != nullptr) register_module("bn1", bn1);
  act = register_module("act", make_activation(options.act_layer()));
  conv_h = register_module("conv_h", linear(rd_channels, options.channels()));
  conv_w = register_module("conv_w", linear(rd_channels, options.channels()));
  gate = register_module("gate", make_activation(options.gate_layer()));
}

torch::Tensor CoordAttnImpl::forward(const torch::Tensor& x) {
  detail::check_input("CoordAttn", x, options.channels(), detail::Batch::kRequired, conv1->weight);
  const torch::Tensor rows = x.mean({3}, /*keepdim=*/true);
  const torch::Tensor columns = x.mean({2}, /*keepdim=*/true).transpose(-1, -2);
  torch::Tensor y = conv1(at::cat({rows, columns}, 2));
  if (bn1 != nullptr) y = forward_child(*bn1, y);
  y = forward_child(*act, y);
  const auto parts = y.split_with_sizes({x.size(2), x.size(3)}, 2);
  const torch::Tensor of_rows = forward_child(*gate, conv_h(parts[0]));
  const torch::Tensor of_columns = forward_child(*gate, conv_w(parts[1].transpose(-1, -2)));
  y = x * of_columns * of_rows;
  return options.has_skip() ? y + x : y;
}

namespace {

/// GlobalContext's layers of hidden channels; timm.layers.ConvMlp with a LayerNorm2d.
class ConvMlpImpl : public Block<ConvMlpImpl> {
 public:
  ConvMlpImpl(int64_t features, int64_t hidden_features, const Activation& act_layer)
      : features(features), hidden_features(hidden_features), act_layer(act_layer) {
    ConvMlpImpl::reset();
  }

  void reset() override {
    fc1 = register_module("fc1", nn::Conv2d(nn::Conv2dOptions(features, hidden_features, 1)));
    norm = register_module("norm", LayerNorm2d(hidden_features, 1e-6));
    act = register_module("act", make_activation(act_layer));
    fc2 = register_module("fc2", nn::Conv2d(nn::Conv2dOptions(hidden_features, features, 1)));
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    return fc2(forward_child(*act, norm(fc1(x))));
  }

  int64_t features;
  int64_t hidden_features;
  Activation act_layer;
  nn::Conv2d fc1{nullptr};
  LayerNorm2d norm{nullptr};
  std::shared_ptr<nn::Module> act;
  nn::Conv2d fc2{nullptr};
};

}  // namespace

GlobalContextImpl::GlobalContextImpl(GlobalContextOptions module_options)
    : options(std::move(module_options)) {
  GlobalContextImpl::reset();
}

void GlobalContextImpl::reset() {
  constexpr const char* kName = "GlobalContext";
  const int64_t channels = options.channels();
  detail::check_positive(kName, "channels", channels);
  TORCH_CHECK_VALUE(options.fuse_add() || options.fuse_scale(), kName,
                    ": expected fuse_add or fuse_scale, got neither");
  detail::check_positive(kName, "rd_divisor", options.rd_divisor());
  check_layers(kName, options.act_layer(), options.gate_layer());
  check_ratio(kName, "rd_ratio", options.rd_ratio());
  const int64_t rd_channels =
      hidden_channels(kName, static_cast<double>(channels) * options.rd_ratio(),
                      options.rd_channels(), options.rd_divisor());
  if (options.use_attn()) {
    conv_attn = register_module("conv_attn", nn::Conv2d(nn::Conv2dOptions(channels, 1, 1)));
  }
  const auto make_mlp = [&](const char* name) {
    return register_module(
        name, std::make_shared<ConvMlpImpl>(channels, rd_channels, options.act_layer()));
  };
  if (options.fuse_add()) mlp_add = make_mlp("mlp_add");
  if (options.fuse_scale()) mlp_scale = make_mlp("mlp_scale");
  gate = register_module("gate", make_activation(options.gate_layer()));
  if (conv_attn) nn::init::kaiming_normal_(conv_attn->weight, 0, torch::kFanIn, torch::kReLU);
  if (mlp_add != nullptr) nn::init::zeros_(static_cast<ConvMlpImpl&>(*mlp_add).fc2->weight);
}

torch::Tensor GlobalContextImpl::forward(const torch::Tensor& x) {
  const auto& mlp = static_cast<ConvMlpImpl&>(mlp_scale != nullptr ? *mlp_scale : *mlp_add);
  detail::check_input("GlobalContext", x, options.channels(), detail::Batch::kRequired,
                      mlp.fc1->weight);
  torch::Tensor context;
  if (conv_attn) {
    const int64_t pixels = x.size(2) * x.size(3);
    const torch::Tensor attention = conv_attn(x).reshape({x.size(0), 1, pixels}).softmax(-1);
    context = x.reshape({x.size(0), x.size(1), pixels}).unsqueeze(1).matmul(attention.unsqueeze(3));
    context = context.view({x.size(0), x.size(1), 1, 1});
  } else {
    context = x.mean({2, 3}, /*keepdim=*/true);
  }
  torch::Tensor y = x;
  if (mlp_scale != nullptr) y = y * forward_child(*gate, forward_child(*mlp_scale, context));
  if (mlp_add != nullptr) y = y + forward_child(*mlp_add, context);
  return y;
}

}  // namespace convkit

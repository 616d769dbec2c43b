#include <convkit/convkit.h>

#include "parity/makers.h"

namespace parity {

using namespace convkit;

Norm norm(const Case& given) {
  static const std::map<std::string, Norm::Kind> kinds = {
      {"None", Norm::kNone},
      {"BatchNorm2d", Norm::kBatchNorm2d},
      {"GroupNorm", Norm::kGroupNorm},
      {"InstanceNorm2d", Norm::kInstanceNorm2d},
      {"LayerNorm2d", Norm::kLayerNorm2d},
      {"FrozenBatchNorm2d", Norm::kFrozenBatchNorm2d},
      {"LayerNorm", Norm::kLayerNorm},
      {"BatchNorm1d", Norm::kBatchNorm1d},
      {"BatchNorm3d", Norm::kBatchNorm3d},
      {"InstanceNorm3d", Norm::kInstanceNorm3d},
  };
  Norm result;
  if (given.has_option("norm")) result.kind = kinds.at(given.word("norm"));
  if (given.has_option("eps")) result.eps = given.real("eps");
  if (given.has_option("momentum")) result.momentum = given.real("momentum");
  if (given.has_option("norm_groups")) result.groups = given.option("norm_groups");
  return result;
}

Activation activation(const std::string& name) {
  static const std::map<std::string, Activation::Kind> kinds = {
      {"None", Activation::kNone},           {"ReLU", Activation::kReLU},
      {"ReLU6", Activation::kReLU6},         {"LeakyReLU", Activation::kLeakyReLU},
      {"PReLU", Activation::kPReLU},         {"ELU", Activation::kELU},
      {"SiLU", Activation::kSiLU},           {"GELU", Activation::kGELU},
      {"GELUTanh", Activation::kGELUTanh},   {"Mish", Activation::kMish},
      {"Hardswish", Activation::kHardswish}, {"Hardsigmoid", Activation::kHardsigmoid},
      {"Sigmoid", Activation::kSigmoid},     {"Tanh", Activation::kTanh},
  };
  return {kinds.at(name)};
}

namespace {

ConvBlock conv_block(const Case& given) {
  ConvBlockOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has_option("kernel_size")) options.kernel_size(given.pair("kernel_size"));
  if (given.has_option("stride")) options.stride(given.pair("stride"));
  if (given.has_option("padding")) options.padding(given.padding());
  return ConvBlock(options);
}

SeparableConv2d separable_conv2d(const Case& given) {
  SeparableConv2dOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has_option("kernel_size")) options.kernel_size(given.pair("kernel_size"));
  if (given.has_option("stride")) options.stride(given.pair("stride"));
  if (given.has_option("padding")) options.padding(given.padding());
  if (given.has_option("dilation")) options.dilation(given.pair("dilation"));
  if (given.has_option("depth_multiplier"))
    options.depth_multiplier(given.option("depth_multiplier"));
  if (given.has_option("depthwise_bias")) options.depthwise_bias(given.boolean("depthwise_bias"));
  if (given.has_option("pointwise_bias")) options.pointwise_bias(given.boolean("pointwise_bias"));
  return SeparableConv2d(options);
}

UpsampleMode upsample_mode(const std::string& name) {
  static const std::map<std::string, UpsampleMode> modes = {
      {"transposed", UpsampleMode::kTransposed},
      {"nearest", UpsampleMode::kNearest},
      {"nearest-exact", UpsampleMode::kNearestExact},
      {"bilinear", UpsampleMode::kBilinear},
      {"bicubic", UpsampleMode::kBicubic},
      {"pixel-shuffle", UpsampleMode::kPixelShuffle},
  };
  return modes.at(name);
}

Upsampler upsampler(const Case& given) {
  UpsamplerOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has_option("scale_factor")) options.scale_factor(given.option("scale_factor"));
  if (given.has_option("mode")) options.mode(upsample_mode(given.word("mode")));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  return Upsampler(options);
}

Conv2dSame conv2d_same(const Case& given) {
  Conv2dSameOptions options(given.option("in_channels"), given.option("out_channels"),
                            given.pair("kernel_size"));
  if (given.has_option("stride")) options.stride(given.pair("stride"));
  if (given.has_option("dilation")) options.dilation(given.pair("dilation"));
  if (given.has_option("groups")) options.groups(given.option("groups"));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  if (given.has_option("padding_mode")) {
    const std::string mode = given.word("padding_mode");
    if (mode == "reflect") options.padding_mode(torch::kReflect);
    if (mode == "replicate") options.padding_mode(torch::kReplicate);
    if (mode == "circular") options.padding_mode(torch::kCircular);
  }
  return Conv2dSame(options);
}

MaxPool2dSame max_pool2d_same(const Case& given) {
  MaxPool2dSameOptions options(given.pair("kernel_size"));
  options.stride(given.pair("stride"));
  if (given.has_option("dilation")) options.dilation(given.pair("dilation"));
  return MaxPool2dSame(options);
}

AvgPool2dSame avg_pool2d_same(const Case& given) {
  return AvgPool2dSame(
      AvgPool2dSameOptions(given.pair("kernel_size")).stride(given.pair("stride")));
}

BlurPool2d blur_pool2d(const Case& given) {
  BlurPool2dOptions options;
  if (given.has_option("channels")) options.channels(given.option("channels"));
  if (given.has_option("filt_size")) options.filt_size(given.option("filt_size"));
  if (given.has_option("stride")) options.stride(given.option("stride"));
  if (given.has_option("pad_mode")) options.pad_mode(given.pad_mode("pad_mode"));
  return BlurPool2d(options);
}

template <std::size_t D>
ConvNormActivationOptions<D> conv_norm_activation(const Case& given) {
  ConvNormActivationOptions<D> options(given.option("in_channels"), given.option("out_channels"));
  if (D == 2 || given.has_option("norm")) options.norm(norm(given));
  if (given.has_option("activation")) options.activation(activation(given.word("activation")));
  if (given.has_option("kernel_size")) options.kernel_size(given.sizes<D>("kernel_size"));
  if (given.has_option("stride")) options.stride(given.sizes<D>("stride"));
  if (given.has_option("padding")) options.padding(given.padding<D>());
  if (given.has_option("dilation")) options.dilation(given.sizes<D>("dilation"));
  if (given.has_option("groups")) options.groups(given.option("groups"));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  return options;
}

MLP mlp(const Case& given) {
  MLPOptions options(given.option("in_channels"), given.integers("hidden_channels"));
  if (given.has_option("norm")) options.norm(norm(given));
  if (given.has_option("activation")) options.activation(activation(given.word("activation")));
  if (given.has_option("inplace")) options.inplace(given.boolean("inplace"));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  if (given.has_option("dropout")) options.dropout(given.real("dropout"));
  return MLP(options);
}

template <typename Holder>
Holder drop_block(const Case& given) {
  const double eps = given.has_option("eps") ? given.real("eps") : 1e-6;
  return Holder(given.real("p"), given.option("block_size"), given.boolean("inplace"), eps);
}

SyncBatchNorm sync_batch_norm(const Case& given) {
  torch::nn::BatchNormOptions options(given.option("num_features"));
  if (given.has_option("eps")) options.eps(given.real("eps"));
  if (given.has_option("momentum")) options.momentum(given.real("momentum"));
  if (given.has_option("affine")) options.affine(given.boolean("affine"));
  if (given.has_option("track_running_stats")) {
    options.track_running_stats(given.boolean("track_running_stats"));
  }
  return SyncBatchNorm(options);
}

BatchNormAct2d batch_norm_act(const Case& given) {
  BatchNormAct2dOptions options(given.option("num_features"));
  if (given.has_option("eps")) options.eps(given.real("eps"));
  if (given.has_option("momentum")) options.momentum(given.real("momentum"));
  if (given.has_option("apply_act")) options.apply_act(given.boolean("apply_act"));
  if (given.has_option("act_layer")) options.act_layer(activation(given.word("act_layer")));
  return BatchNormAct2d(options);
}

GlobalResponseNorm global_response_norm(const Case& given) {
  if (!given.has_option("eps")) return GlobalResponseNorm(given.option("dim"));
  return GlobalResponseNorm(given.option("dim"), given.real("eps"), given.boolean("channels_last"));
}

SqueezeExcitation squeeze_excitation(const Case& given) {
  return SqueezeExcitation(
      SqueezeExcitationOptions(given.option("input_channels"), given.option("squeeze_channels"))
          .activation(activation(given.word("activation")))
          .scale_activation(activation(given.word("scale_activation"))));
}

EcaModule eca_module(const Case& given) {
  EcaModuleOptions options;
  if (given.has_option("channels")) options.channels(given.option("channels"));
  if (given.has_option("kernel_size")) options.kernel_size(given.option("kernel_size"));
  if (given.has_option("gamma")) options.gamma(given.real("gamma"));
  if (given.has_option("beta")) options.beta(given.real("beta"));
  return EcaModule(options);
}

StochasticDepth stochastic_depth(const Case& given) {
  return StochasticDepth(given.real("p"), given.word("mode") == "row"
                                              ? StochasticDepthMode::kRow
                                              : StochasticDepthMode::kBatch);
}

/// A maker of one of the functions of conv.h; an option that the case leaves out keeps its default.
template <typename F>
Maker two_channels(F make, const char* third = nullptr) {
  return [=](const Case& given) {
    const int64_t in_channels = given.option("in_channels");
    const int64_t out_channels = given.option("out_channels");
    if constexpr (std::is_invocable_v<F, int64_t, int64_t, int64_t>) {
      if (given.has_option(third))
        return make(in_channels, out_channels, given.option(third)).ptr();
      return make(in_channels, out_channels, 2).ptr();
    } else {
      return make(in_channels, out_channels).ptr();
    }
  };
}

}  // namespace

std::map<std::string, Maker> layer_makers() {
  return {
      {"standard_conv2d", two_channels(standard_conv2d)},
      {"strided_conv2d", two_channels(strided_conv2d, "stride")},
      {"dilated_conv2d", two_channels(dilated_conv2d, "dilation")},
      {"depthwise_conv2d",
       [](const Case& given) { return depthwise_conv2d(given.option("channels")).ptr(); }},
      {"pointwise_conv2d", two_channels(pointwise_conv2d)},
      {"ConvBlock", [](const Case& given) { return conv_block(given).ptr(); }},
      {"SeparableConv2d", [](const Case& given) { return separable_conv2d(given).ptr(); }},
      {"Upsampler", [](const Case& given) { return upsampler(given).ptr(); }},
      {"Conv2dSame", [](const Case& given) { return conv2d_same(given).ptr(); }},
      {"MaxPool2dSame", [](const Case& given) { return max_pool2d_same(given).ptr(); }},
      {"AvgPool2dSame", [](const Case& given) { return avg_pool2d_same(given).ptr(); }},
      {"Hardswish", [](const Case& given) { return Hardswish(given.boolean("inplace")).ptr(); }},
      {"Hardsigmoid",
       [](const Case& given) { return Hardsigmoid(given.boolean("inplace")).ptr(); }},
      {"LayerNorm2d",
       [](const Case& given) {
         return LayerNorm2d(given.option("channels"), given.real("eps")).ptr();
       }},
      {"FrozenBatchNorm2d",
       [](const Case& given) {
         return FrozenBatchNorm2d(given.option("num_features"), given.real("eps")).ptr();
       }},
      {"GlobalResponseNorm", [](const Case& given) { return global_response_norm(given).ptr(); }},
      {"Conv2dNormActivation",
       [](const Case& given) {
         return Conv2dNormActivation(conv_norm_activation<2>(given)).ptr();
       }},
      {"Conv3dNormActivation",
       [](const Case& given) {
         return Conv3dNormActivation(conv_norm_activation<3>(given)).ptr();
       }},
      {"MLP", [](const Case& given) { return mlp(given).ptr(); }},
      {"DropBlock2d", [](const Case& given) { return drop_block<DropBlock2d>(given).ptr(); }},
      {"DropBlock3d", [](const Case& given) { return drop_block<DropBlock3d>(given).ptr(); }},
      {"LayerScale2d",
       [](const Case& given) {
         return LayerScale2d(given.option("dim"), given.real("init_values"),
                             given.boolean("inplace"))
             .ptr();
       }},
      {"SyncBatchNorm", [](const Case& given) { return sync_batch_norm(given).ptr(); }},
      {"BatchNormAct2d", [](const Case& given) { return batch_norm_act(given).ptr(); }},
      {"StochasticDepth", [](const Case& given) { return stochastic_depth(given).ptr(); }},
      {"SqueezeExcitation", [](const Case& given) { return squeeze_excitation(given).ptr(); }},
      {"EcaModule", [](const Case& given) { return eca_module(given).ptr(); }},
      {"BlurPool2d", [](const Case& given) { return blur_pool2d(given).ptr(); }},
  };
}

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> table = [] {
    auto result = layer_makers();
    result.merge(model_makers());
    result.merge(network_makers());
    result.merge(torch_makers());
    return result;
  }();
  return table;
}

}  // namespace parity

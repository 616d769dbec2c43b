#include <convkit/convkit.h>

#include "parity/makers.h"

namespace parity {

using namespace convkit;

namespace {

/// Of StdConv2d or ScaledStdConv2d.
template <typename Options>
Options std_conv2d_options(const Case& given) {
  Options options(given.option("in_channels"), given.option("out_channels"),
                  given.pair("kernel_size"));
  if (given.has_option("stride")) options.stride(given.pair("stride"));
  if (given.has_option("padding")) options.padding(given.padding());
  if (given.has_option("dilation")) options.dilation(given.pair("dilation"));
  if (given.has_option("groups")) options.groups(given.option("groups"));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  if (given.has_option("eps")) options.eps(given.real("eps"));
  return options;
}

ScaledStdConv2d scaled_std_conv2d(const Case& given) {
  auto options = std_conv2d_options<ScaledStdConv2dOptions>(given);
  if (given.has_option("gamma")) options.gamma(given.real("gamma"));
  if (given.has_option("gain_init")) options.gain_init(given.real("gain_init"));
  return ScaledStdConv2d(options);
}

CbamModule cbam_module(const Case& given) {
  CbamModuleOptions options(given.option("channels"));
  if (given.has_option("rd_ratio")) options.rd_ratio(given.real("rd_ratio"));
  if (given.has_option("rd_channels")) options.rd_channels(given.option("rd_channels"));
  if (given.has_option("rd_divisor")) options.rd_divisor(given.option("rd_divisor"));
  if (given.has_option("spatial_kernel_size"))
    options.spatial_kernel_size(given.option("spatial_kernel_size"));
  if (given.has_option("mlp_bias")) options.mlp_bias(given.boolean("mlp_bias"));
  if (given.has_option("act_layer")) options.act_layer(activation(given.word("act_layer")));
  if (given.has_option("gate_layer")) options.gate_layer({Activation::kHardsigmoid});
  return CbamModule(options);
}

/// Sets what the blocks of timm have in common: how many channels are hidden, and the activations.
template <typename Options>
void set_reduction(Options& options, const Case& given) {
  if (given.has_option("rd_ratio")) options.rd_ratio(given.real("rd_ratio"));
  if (given.has_option("rd_channels")) options.rd_channels(given.option("rd_channels"));
  if (given.has_option("rd_divisor")) options.rd_divisor(given.option("rd_divisor"));
  if (given.has_option("act_layer")) options.act_layer(activation(given.word("act_layer")));
}

CoordAttn coord_attn(const Case& given) {
  CoordAttnOptions options(given.option("channels"));
  set_reduction(options, given);
  options.norm_layer(norm(given));
  if (given.has_option("se_factor")) options.se_factor(given.real("se_factor"));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  if (given.has_option("has_skip")) options.has_skip(given.boolean("has_skip"));
  if (given.has_option("gate_layer")) options.gate_layer({Activation::kHardsigmoid});
  return CoordAttn(options);
}

GlobalContext global_context(const Case& given) {
  GlobalContextOptions options(given.option("channels"));
  set_reduction(options, given);
  if (given.has_option("use_attn")) options.use_attn(given.boolean("use_attn"));
  if (given.has_option("fuse_add")) options.fuse_add(given.boolean("fuse_add"));
  if (given.has_option("fuse_scale")) options.fuse_scale(given.boolean("fuse_scale"));
  if (given.has_option("gate_layer")) options.gate_layer({Activation::kHardsigmoid});
  return GlobalContext(options);
}

SelectiveKernel selective_kernel(const Case& given) {
  SelectiveKernelOptions options(given.option("in_channels"));
  set_reduction(options, given);
  if (given.has_option("out_channels")) options.out_channels(given.option("out_channels"));
  if (given.has_option("kernel_size")) options.kernel_size(given.integers("kernel_size"));
  if (given.has_option("stride")) options.stride(given.option("stride"));
  if (given.has_option("dilation")) options.dilation(given.option("dilation"));
  if (given.has_option("groups")) options.groups(given.option("groups"));
  if (given.has_option("keep_3x3")) options.keep_3x3(given.boolean("keep_3x3"));
  if (given.has_option("split_input")) options.split_input(given.boolean("split_input"));
  return SelectiveKernel(options);
}

SplitAttn split_attn(const Case& given) {
  SplitAttnOptions options(given.option("in_channels"));
  set_reduction(options, given);
  if (given.has_option("norm")) options.norm_layer(norm(given));
  if (given.has_option("out_channels")) options.out_channels(given.option("out_channels"));
  if (given.has_option("kernel_size")) options.kernel_size(given.option("kernel_size"));
  if (given.has_option("stride")) options.stride(given.option("stride"));
  if (given.has_option("padding")) options.padding(given.option("padding"));
  if (given.has_option("dilation")) options.dilation(given.option("dilation"));
  if (given.has_option("groups")) options.groups(given.option("groups"));
  if (given.has_option("bias")) options.bias(given.boolean("bias"));
  if (given.has_option("radix")) options.radix(given.option("radix"));
  return SplitAttn(options);
}

UnetDecoderBlockOptions::mode_t interpolation_mode(const std::string& name) {
  if (name == "nearest-exact") return torch::kNearestExact;
  if (name == "bilinear") return torch::kBilinear;
  if (name == "bicubic") return torch::kBicubic;
  REQUIRE(name == "area");
  return torch::kArea;
}

/// As in modules.py: a UnetDecoderBlock on parts of one tensor.
struct UnetDecoderBlockOfOneImpl : Block<UnetDecoderBlockOfOneImpl> {
  explicit UnetDecoderBlockOfOneImpl(UnetDecoderBlockOptions options)
      : options(std::move(options)) {
    UnetDecoderBlockOfOneImpl::reset();
  }
  void reset() override { block = register_module("block", UnetDecoderBlock(options)); }
  torch::Tensor forward(const torch::Tensor& x) override {
    const int64_t channels = options.in_channels();
    const torch::Tensor even = x.slice(1, 0, channels).slice(2, 0, {}, 2).slice(3, 0, {}, 2);
    const torch::Tensor skip = options.skip_channels() > 0 ? x.slice(1, channels) : torch::Tensor();
    return block(even, x.size(2), x.size(3), skip);
  }
  UnetDecoderBlockOptions options;
  UnetDecoderBlock block{nullptr};
};
CONVKIT_MODULE(UnetDecoderBlockOfOne);

UnetDecoderBlockOfOne unet_decoder_block(const Case& given) {
  UnetDecoderBlockOptions options(given.option("in_channels"), given.option("skip_channels"),
                                  given.option("out_channels"));
  options.use_norm(norm(given));
  if (given.has_option("attention_type")) options.attention_type(AttentionType::kSCSE);
  if (given.has_option("interpolation_mode"))
    options.interpolation_mode(interpolation_mode(given.word("interpolation_mode")));
  return UnetDecoderBlockOfOne(options);
}

/// As in modules.py: a FeaturePyramidNetwork on parts of one tensor.
struct PyramidOfOneImpl : Block<PyramidOfOneImpl> {
  PyramidOfOneImpl(std::vector<int64_t> in_channels_list, int64_t out_channels, Norm norm)
      : in_channels_list(std::move(in_channels_list)), out_channels(out_channels), norm(norm) {
    PyramidOfOneImpl::reset();
  }
  void reset() override {
    fpn = register_module("fpn", FeaturePyramidNetwork(in_channels_list, out_channels, norm));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    FeaturePyramidNetworkImpl::Maps maps;
    int64_t step = 1;
    for (const int64_t channels : in_channels_list) {
      maps.insert("map" + std::to_string(step),
                  x.slice(1, 0, channels).slice(2, 0, {}, step).slice(3, 0, {}, step));
      step *= 2;
    }
    std::vector<torch::Tensor> flat;
    for (const auto& entry : fpn(maps)) flat.push_back(entry.value().flatten(1));
    return torch::cat(flat, 1);
  }
  std::vector<int64_t> in_channels_list;
  int64_t out_channels;
  Norm norm;
  FeaturePyramidNetwork fpn{nullptr};
};
CONVKIT_MODULE(PyramidOfOne);

PyramidOfOne feature_pyramid_network(const Case& given) {
  const Norm none = {Norm::kNone};
  return PyramidOfOne(given.integers("in_channels_list"), given.option("out_channels"),
                      given.has_option("norm") ? norm(given) : none);
}

SegmentationHead segmentation_head(const Case& given) {
  SegmentationHeadOptions options(given.option("in_channels"), given.option("out_channels"));
  if (given.has_option("kernel_size")) options.kernel_size(given.option("kernel_size"));
  if (given.has_option("activation")) options.activation(activation(given.word("activation")));
  if (given.has_option("upsampling")) options.upsampling(given.real("upsampling"));
  return SegmentationHead(options);
}

models::resnet::BlockOptions resnet_block(const Case& given) {
  models::resnet::BlockOptions options(given.option("inplanes"), given.option("planes"));
  options.norm_layer(norm(given));
  if (given.has_option("stride")) options.stride(given.option("stride"));
  if (given.has_option("downsample")) options.downsample(given.boolean("downsample"));
  if (given.has_option("groups")) options.groups(given.option("groups"));
  if (given.has_option("base_width")) options.base_width(given.option("base_width"));
  if (given.has_option("dilation")) options.dilation(given.option("dilation"));
  return options;
}

models::mobilenetv3::InvertedResidual inverted_residual_v3(const Case& given) {
  models::mobilenetv3::InvertedResidualConfig config;
  config.input_channels = given.option("input_channels");
  config.kernel = given.option("kernel");
  config.expanded_channels = given.option("expanded_channels");
  config.out_channels = given.option("out_channels");
  config.use_se = given.boolean("use_se");
  config.use_hs = given.boolean("use_hs");
  config.stride = given.option("stride");
  config.dilation = given.option("dilation");
  return models::mobilenetv3::InvertedResidual(config);
}

models::efficientnet::MBConvConfig mbconv_config(const Case& given) {
  models::efficientnet::MBConvConfig config;
  config.expand_ratio = given.real("expand_ratio");
  config.kernel = given.option("kernel");
  config.stride = given.option("stride");
  config.input_channels = given.option("input_channels");
  config.out_channels = given.option("out_channels");
  return config;
}

double stochastic_depth_prob(const Case& given) {
  return given.has_option("stochastic_depth_prob") ? given.real("stochastic_depth_prob") : 0;
}

}  // namespace

std::map<std::string, Maker> model_makers() {
  return {
      {"StdConv2d",
       [](const Case& given) {
         return StdConv2d(std_conv2d_options<StdConv2dOptions>(given)).ptr();
       }},
      {"ScaledStdConv2d", [](const Case& given) { return scaled_std_conv2d(given).ptr(); }},
      {"CbamModule", [](const Case& given) { return cbam_module(given).ptr(); }},
      {"CoordAttn", [](const Case& given) { return coord_attn(given).ptr(); }},
      {"GlobalContext", [](const Case& given) { return global_context(given).ptr(); }},
      {"SelectiveKernel", [](const Case& given) { return selective_kernel(given).ptr(); }},
      {"SplitAttn", [](const Case& given) { return split_attn(given).ptr(); }},
      {"SCSEModule",
       [](const Case& given) {
         return SCSEModule(given.option("in_channels"), given.option("reduction")).ptr();
       }},
      {"ASPP",
       [](const Case& given) {
         return ASPP(given.option("in_channels"), given.integers("atrous_rates"),
                     given.option("out_channels"))
             .ptr();
       }},
      {"PSPModule",
       [](const Case& given) {
         return PSPModule(given.option("in_channels"), given.integers("sizes"), norm(given)).ptr();
       }},
      {"UnetDecoderBlock", [](const Case& given) { return unet_decoder_block(given).ptr(); }},
      {"SegmentationHead", [](const Case& given) { return segmentation_head(given).ptr(); }},
      {"FeaturePyramidNetwork",
       [](const Case& given) { return feature_pyramid_network(given).ptr(); }},
      {"BasicBlock",
       [](const Case& given) { return models::resnet::BasicBlock(resnet_block(given)).ptr(); }},
      {"Bottleneck",
       [](const Case& given) { return models::resnet::Bottleneck(resnet_block(given)).ptr(); }},
      {"MobileNetV2InvertedResidual",
       [](const Case& given) {
         return models::mobilenetv2::InvertedResidual(given.option("inp"), given.option("oup"),
                                                      given.option("stride"),
                                                      given.option("expand_ratio"))
             .ptr();
       }},
      {"MobileNetV3InvertedResidual",
       [](const Case& given) { return inverted_residual_v3(given).ptr(); }},
      {"MBConv",
       [](const Case& given) {
         return models::efficientnet::MBConv(mbconv_config(given), stochastic_depth_prob(given))
             .ptr();
       }},
      {"FusedMBConv",
       [](const Case& given) {
         return models::efficientnet::FusedMBConv(mbconv_config(given),
                                                  stochastic_depth_prob(given))
             .ptr();
       }},
      {"CNBlock",
       [](const Case& given) {
         return models::convnext::CNBlock(given.option("dim"), given.real("layer_scale"),
                                          stochastic_depth_prob(given))
             .ptr();
       }},
  };
}

}  // namespace parity

#include <convkit/convkit.h>

#include "parity/makers.h"

namespace parity {

using namespace convkit;

namespace {

namespace inception = models::inception;

inception::BasicConv2d basic_conv2d(const Case& given) {
  return inception::BasicConv2d(torch::nn::Conv2dOptions(given.option("in_channels"),
                                                         given.option("out_channels"),
                                                         given.pair("kernel_size"))
                                    .stride(given.pair("stride")));
}

models::googlenet_blocks::Inception googlenet_inception(const Case& given) {
  return models::googlenet_blocks::Inception(models::googlenet_blocks::InceptionChannels{
      given.option("in_channels"), given.option("ch1x1"), given.option("ch3x3red"),
      given.option("ch3x3"), given.option("ch5x5red"), given.option("ch5x5"),
      given.option("pool_proj")});
}

/// As in modules.py: a DenseLayer on one map in a list.
struct DenseLayerOfOneImpl : Block<DenseLayerOfOneImpl> {
  explicit DenseLayerOfOneImpl(models::densenet::DenseLayer layer) : layer(std::move(layer)) {
    DenseLayerOfOneImpl::reset();
  }
  void reset() override { register_module("layer", layer); }
  torch::Tensor forward(const torch::Tensor& x) override {
    return layer(std::vector<torch::Tensor>{x});
  }
  models::densenet::DenseLayer layer;
};

/// As in modules.py: an LRASPPHead on parts of one tensor.
struct LRASPPHeadOfOneImpl : Block<LRASPPHeadOfOneImpl> {
  LRASPPHeadOfOneImpl(int64_t low_channels, models::segmentation::LRASPPHead head)
      : low_channels(low_channels), head(std::move(head)) {
    LRASPPHeadOfOneImpl::reset();
  }
  void reset() override { register_module("head", head); }
  torch::Tensor forward(const torch::Tensor& x) override {
    return head(x.slice(1, 0, low_channels),
                x.slice(1, low_channels).slice(2, 0, {}, 2).slice(3, 0, {}, 2));
  }
  int64_t low_channels;
  models::segmentation::LRASPPHead head;
};

models::regnet::ResBottleneckBlock res_bottleneck_block(const Case& given) {
  models::regnet::BlockOptions options(given.option("width_in"), given.option("width_out"),
                                       given.option("stride"));
  options.norm_layer(norm(given));
  if (given.has_option("group_width")) options.group_width(given.option("group_width"));
  if (given.has_option("bottleneck_multiplier"))
    options.bottleneck_multiplier(given.real("bottleneck_multiplier"));
  if (given.has_option("se_ratio")) options.se_ratio(given.real("se_ratio"));
  if (given.has_option("activation")) options.activation(activation(given.word("activation")));
  return models::regnet::ResBottleneckBlock(options);
}

models::video::BasicBlock video_basic_block(const Case& given) {
  using models::video::ConvKind;
  static const std::map<std::string, ConvKind> kinds = {
      {"Conv3DSimple", ConvKind::kConv3DSimple},
      {"Conv2Plus1D", ConvKind::kConv2Plus1D},
      {"Conv3DNoTemporal", ConvKind::kConv3DNoTemporal},
  };
  return models::video::BasicBlock(given.option("inplanes"), given.option("planes"),
                                   kinds.at(given.word("kind")),
                                   given.has_option("stride") ? given.option("stride") : 1);
}

models::video::SepInceptionBlock3D sep_inception_block(const Case& given) {
  return models::video::SepInceptionBlock3D(models::video::SepInceptionChannels{
      given.option("in_planes"), given.option("b0_out"), given.option("b1_mid"),
      given.option("b1_out"), given.option("b2_mid"), given.option("b2_out"),
      given.option("b3_out")});
}

/// A maker of a block that takes nothing but whole numbers, the options of these names.
template <typename Holder, typename... Names>
Maker of_numbers(Names... names) {
  return [=](const Case& given) { return Holder(given.option(names)...).ptr(); };
}

/// A maker of one of Inception v3's blocks, with the channels of the option `name` if there is one.
Maker inception_block(inception::Mixed kind, const char* name = nullptr) {
  return [=](const Case& given) {
    const int64_t channels = name == nullptr ? 0 : given.option(name);
    return inception::InceptionBlock(kind, given.option("in_channels"), channels).ptr();
  };
}

std::map<std::string, Maker> dense_makers() {
  namespace densenet = models::densenet;
  return {
      {"DenseLayer",
       [](const Case& given) {
         return std::make_shared<DenseLayerOfOneImpl>(
             densenet::DenseLayer(given.option("num_input_features"), given.option("growth_rate"),
                                  given.option("bn_size"), given.real("drop_rate")));
       }},
      {"DenseBlock",
       [](const Case& given) {
         return densenet::DenseBlock(given.option("num_layers"), given.option("num_input_features"),
                                     given.option("bn_size"), given.option("growth_rate"),
                                     given.real("drop_rate"))
             .ptr();
       }},
  };
}

}  // namespace

std::map<std::string, Maker> network_makers() {
  auto result = dense_makers();
  result.merge(std::map<std::string, Maker>{
      {"Fire", of_numbers<models::squeezenet::Fire>("inplanes", "squeeze_planes",
                                                    "expand1x1_planes", "expand3x3_planes")},
      {"BasicConv2d", [](const Case& given) { return basic_conv2d(given).ptr(); }},
      {"Inception", [](const Case& given) { return googlenet_inception(given).ptr(); }},
      {"InceptionA", inception_block(inception::Mixed::kA, "pool_features")},
      {"InceptionB", inception_block(inception::Mixed::kB)},
      {"InceptionC", inception_block(inception::Mixed::kC, "channels_7x7")},
      {"ShuffleNetV2InvertedResidual",
       of_numbers<models::shufflenetv2::InvertedResidual>("inp", "oup", "stride")},
      {"MNASNetInvertedResidual",
       [](const Case& given) {
         return models::mnasnet::InvertedResidual(
                    given.option("in_ch"), given.option("out_ch"), given.option("kernel_size"),
                    given.option("stride"), given.option("expansion_factor"),
                    given.real("bn_momentum"))
             .ptr();
       }},
      {"ResBottleneckBlock", [](const Case& given) { return res_bottleneck_block(given).ptr(); }},
      {"LRASPPHead",
       [](const Case& given) {
         const int64_t low_channels = given.option("low_channels");
         return std::make_shared<LRASPPHeadOfOneImpl>(
             low_channels, models::segmentation::LRASPPHead(
                               low_channels, given.option("high_channels"),
                               given.option("num_classes"), given.option("inter_channels")));
       }},
      {"VideoBasicBlock", [](const Case& given) { return video_basic_block(given).ptr(); }},
      {"TemporalSeparableConv", of_numbers<models::video::TemporalSeparableConv>(
                                    "in_planes", "out_planes", "kernel_size", "stride", "padding")},
      {"SepInceptionBlock3D", [](const Case& given) { return sep_inception_block(given).ptr(); }},
  });
  return result;
}

}  // namespace parity

#include <convkit/models/unet.h>

#include "core/check.h"

#include <torch/nn/init.h>

#include <algorithm>

namespace convkit::models::unet {

namespace nn = torch::nn;

std::vector<std::string> encoder_names() {
  return {"resnet18",  "resnet34",        "resnet50",        "resnet101",
          "resnet152", "resnext50_32x4d", "resnext101_32x8d"};
}

UnetDecoderImpl::UnetDecoderImpl(std::vector<int64_t> encoder_channels,
                                 std::vector<int64_t> decoder_channels, Norm use_norm,
                                 AttentionType attention_type,
                                 UnetDecoderBlockOptions::mode_t interpolation_mode)
    : encoder_channels(std::move(encoder_channels)),
      decoder_channels(std::move(decoder_channels)),
      use_norm(use_norm),
      attention_type(attention_type),
      interpolation_mode(interpolation_mode) {
  UnetDecoderImpl::reset();
}

void UnetDecoderImpl::reset() {
  const std::size_t depth = decoder_channels.size();
  TORCH_CHECK_VALUE(depth >= 1 && encoder_channels.size() == depth + 1,
                    "UnetDecoder: expected one of decoder_channels for each map after the image, ",
                    "got ", depth, " for ", encoder_channels.size(), " maps with it");
  for (const int64_t channels : encoder_channels) {
    convkit::detail::check_positive("UnetDecoder", "encoder_channels", channels);
  }
  center = register_module("center", nn::Identity());
  blocks = register_module("blocks", nn::ModuleList());
  int64_t in_channels = encoder_channels.back();
  for (std::size_t i = 0; i < depth; ++i) {
    const int64_t skip_channels = i + 1 < depth ? encoder_channels[depth - 1 - i] : 0;
    blocks->push_back(
        UnetDecoderBlock(UnetDecoderBlockOptions(in_channels, skip_channels, decoder_channels[i])
                             .use_norm(use_norm)
                             .attention_type(attention_type)
                             .interpolation_mode(interpolation_mode)));
    in_channels = decoder_channels[i];
  }
}

torch::Tensor UnetDecoderImpl::forward(const std::vector<torch::Tensor>& features) {
  const std::size_t depth = decoder_channels.size();
  TORCH_CHECK_VALUE(features.size() == depth + 1, "UnetDecoder: expected ", depth + 1,
                    " maps, got ", features.size());
  for (std::size_t i = 0; i <= depth; ++i) {
    const torch::Tensor& map = features[i];
    TORCH_CHECK_VALUE(map.defined() && map.dim() == 4 && map.size(0) == features[0].size(0) &&
                          map.size(1) == encoder_channels[i],
                      "UnetDecoder: expected map ", i, " [N, ", encoder_channels[i],
                      ", H, W] of one batch, got ",
                      map.defined() ? c10::str(map.sizes()) : "an undefined tensor");
  }
  torch::Tensor y = forward_child(*center, features.back());
  for (std::size_t i = 0; i < depth; ++i) {
    const torch::Tensor& target = features[depth - 1 - i];
    const bool skips = i + 1 < depth;
    const auto block = std::dynamic_pointer_cast<UnetDecoderBlockImpl>(blocks[i]);
    y = UnetDecoderBlock(block)(y, target.size(2), target.size(3),
                                skips ? target : torch::Tensor());
  }
  return y;
}

UnetImpl::UnetImpl(UnetOptions unet_options) : options(std::move(unet_options)) {
  UnetImpl::reset();
}

void UnetImpl::reset() {
  constexpr const char* kName = "Unet";
  const auto names = encoder_names();
  TORCH_CHECK_VALUE(std::find(names.begin(), names.end(), options.encoder_name) != names.end(),
                    kName, ": expected one of encoder_names(), like resnet34, got \"",
                    options.encoder_name, "\"");
  const auto depth = static_cast<std::size_t>(options.encoder_depth);
  TORCH_CHECK_VALUE(options.encoder_depth >= 1 && options.encoder_depth <= 5, kName,
                    ": expected 1 <= encoder_depth <= 5, got ", options.encoder_depth);
  TORCH_CHECK_VALUE(options.decoder_channels.size() == depth, kName,
                    ": expected as many decoder_channels as encoder_depth ", depth, ", got ",
                    options.decoder_channels.size());
  convkit::detail::check_positive(kName, "in_channels", options.in_channels);
  convkit::detail::check_positive(kName, "classes", options.classes);

  const resnet::Layout layout = resnet::layout(options.encoder_name);
  encoder =
      register_module("encoder", resnet::ResNet(layout, ResNetOptions{.features_only = true}));
  if (options.in_channels != 3) {
    const auto stem =
        nn::Conv2dOptions(options.in_channels, 64, 7).stride(2).padding(3).bias(false);
    encoder->conv1 = encoder->replace_module("conv1", nn::Conv2d(stem));
  }
  const int64_t expansion = layout.expansion();
  std::vector<int64_t> encoder_channels{
      options.in_channels, 64, 64 * expansion, 128 * expansion, 256 * expansion, 512 * expansion};
  encoder_channels.resize(depth + 1);
  decoder = register_module(
      "decoder", UnetDecoder(encoder_channels, options.decoder_channels, options.decoder_use_norm,
                             options.decoder_attention_type, options.decoder_interpolation));
  segmentation_head = register_module(
      "segmentation_head",
      SegmentationHead(SegmentationHeadOptions(options.decoder_channels.back(), options.classes)
                           .activation(options.activation)));

  for (const auto& module : decoder->modules()) {
    const auto* conv = module->as<nn::Conv2d>();
    if (conv == nullptr) continue;
    nn::init::kaiming_uniform_(conv->weight, 0, torch::kFanIn, torch::kReLU);
    if (conv->bias.defined()) nn::init::zeros_(conv->bias);
  }
  nn::init::xavier_uniform_(segmentation_head->conv->weight);
  nn::init::zeros_(segmentation_head->conv->bias);
}

torch::Tensor UnetImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("Unet", x, options.in_channels, convkit::detail::Batch::kRequired,
                               encoder->conv1->weight);
  std::vector<torch::Tensor> features{x};
  const auto depth = static_cast<std::size_t>(options.encoder_depth);
  for (torch::Tensor& map : encoder->features(x, depth)) features.push_back(std::move(map));
  return segmentation_head(decoder(features));
}

}  // namespace convkit::models::unet

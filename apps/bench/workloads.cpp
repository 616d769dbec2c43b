#include "workloads.h"

#include <convkit/convkit.h>

#include <functional>
#include <map>

namespace bench {
namespace {

using ModulePtr = std::shared_ptr<torch::nn::Module>;
using convkit::UpsampleMode;

ModulePtr upsampler(UpsampleMode mode) {
  return convkit::Upsampler(convkit::UpsamplerOptions(64, 32).mode(mode)).ptr();
}

/// A depthwise separable convolution as MobileNet has it: a norm and a ReLU after either part.
ModulePtr separable_norm() {
  const auto norm = [](int64_t channels) { return torch::nn::BatchNorm2d(channels); };
  const torch::nn::ReLU relu(torch::nn::ReLUOptions(/*inplace=*/true));
  const torch::nn::ReLU relu_after(torch::nn::ReLUOptions(/*inplace=*/true));
  return convkit::Sequential{convkit::depthwise_conv2d(64),      norm(64),  relu,
                             convkit::pointwise_conv2d(64, 128), norm(128), relu_after}
      .ptr();
}

/// Nothing but arithmetic: what the fastest convolution reaches on this machine.
ModulePtr ceiling() {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(256, 256, 3).padding(1)).ptr();
}

const std::map<std::string, std::function<ModulePtr()>> kBlocks = {
    {"conv_8_8", [] { return convkit::ConvBlock(8, 8).ptr(); }},
    {"conv_3_64", [] { return convkit::ConvBlock(3, 64).ptr(); }},
    {"conv_64_64", [] { return convkit::ConvBlock(64, 64).ptr(); }},
    {"separable", [] { return convkit::SeparableConv2d(64, 128).ptr(); }},
    {"separable_norm", separable_norm},
    {"up_transposed", [] { return upsampler(UpsampleMode::kTransposed); }},
    {"up_bilinear", [] { return upsampler(UpsampleMode::kBilinear); }},
    {"up_pixel_shuffle", [] { return upsampler(UpsampleMode::kPixelShuffle); }},
    {"inverted_residual",
     [] { return convkit::models::mobilenetv2::InvertedResidual(24, 24, 1, 6).ptr(); }},
    {"resnet18_10", [] { return convkit::models::resnet18({.num_classes = 10}).ptr(); }},
    {"ceiling", ceiling},
};

}  // namespace

ModulePtr make_module(const std::string& name) {
  const auto block = kBlocks.find(name);
  ModulePtr module = block != kBlocks.end() ? block->second() : convkit::models::create(name).ptr();
  module->eval();
  return module;
}

}  // namespace bench

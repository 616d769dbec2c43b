#include <convkit/models/googlenet.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/relu.h>

#include <string>

namespace convkit::models {

namespace nn = torch::nn;

using inception::BasicConv2d;
using inception::transform_input;

namespace googlenet_blocks {

InceptionImpl::InceptionImpl(const InceptionChannels& channels) : channels(channels) {
  InceptionImpl::reset();
}

void InceptionImpl::reset() {
  const auto conv1x1 = [](int64_t in, int64_t out) {
    return BasicConv2d(nn::Conv2dOptions(in, out, 1));
  };
  const auto conv3x3 = [](int64_t in, int64_t out) {
    return BasicConv2d(nn::Conv2dOptions(in, out, 3).padding(1));
  };
  const auto& [in, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj] = channels;
  branch1 = register_module("branch1", conv1x1(in, ch1x1));
  branch2 = register_module("branch2", Sequential{conv1x1(in, ch3x3red), conv3x3(ch3x3red, ch3x3)});
  branch3 = register_module("branch3", Sequential{conv1x1(in, ch5x5red), conv3x3(ch5x5red, ch5x5)});
  const auto pool = nn::MaxPool2dOptions(3).stride(1).padding(1).ceil_mode(true);
  branch4 = register_module("branch4", Sequential{nn::MaxPool2d(pool), conv1x1(in, pool_proj)});
}

torch::Tensor InceptionImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("Inception", x, channels.in_channels,
                               convkit::detail::Batch::kRequired, branch1->conv->weight);
  const std::vector<torch::Tensor> branches{branch1(x), branch2(x), branch3(x), branch4(x)};
  return at::cat(branches, 1);
}

InceptionAuxImpl::InceptionAuxImpl(int64_t in_channels, int64_t num_classes, double dropout)
    : in_channels(in_channels), num_classes(num_classes), p(dropout) {
  InceptionAuxImpl::reset();
}

void InceptionAuxImpl::reset() {
  detail::check_num_classes("InceptionAux", num_classes);
  convkit::detail::check_probability("InceptionAux", "dropout", p);
  conv = register_module("conv", BasicConv2d(nn::Conv2dOptions(in_channels, 128, 1)));
  fc1 = register_module("fc1", nn::Linear(2048, 1024));
  fc2 = register_module("fc2", nn::Linear(1024, num_classes));
  dropout = register_module("dropout", nn::Dropout(p));
}

torch::Tensor InceptionAuxImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("InceptionAux", x, in_channels, convkit::detail::Batch::kRequired,
                               conv->conv->weight);
  torch::Tensor y = conv(at::adaptive_avg_pool2d(x, {4, 4})).flatten(1);
  y = fc1(y);
  y = dropout(at::relu_(y));
  return fc2(y);
}

}  // namespace googlenet_blocks

GoogLeNetImpl::GoogLeNetImpl(const GoogLeNetOptions& options) : options(options) {
  GoogLeNetImpl::reset();
}

void GoogLeNetImpl::reset() {
  using googlenet_blocks::Inception;
  using googlenet_blocks::InceptionAux;
  using googlenet_blocks::InceptionChannels;
  constexpr const char* kName = "GoogLeNet";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  layers.clear();
  const auto add = [this](const char* name, const SequentialChild& layer) {
    layers.insert(name, register_module(name, layer.module));
  };
  const auto add_pool = [&](const char* name, int64_t kernel_size) {
    add(name, nn::MaxPool2d(nn::MaxPool2dOptions(kernel_size).stride(2).ceil_mode(true)));
  };
  const auto add_inception = [&](const char* name, const InceptionChannels& channels) {
    add(name, Inception(channels));
  };
  add("conv1", BasicConv2d(nn::Conv2dOptions(3, 64, 7).stride(2).padding(3)));
  add_pool("maxpool1", 3);
  add("conv2", BasicConv2d(nn::Conv2dOptions(64, 64, 1)));
  add("conv3", BasicConv2d(nn::Conv2dOptions(64, 192, 3).padding(1)));
  add_pool("maxpool2", 3);
  add_inception("inception3a", {192, 64, 96, 128, 16, 32, 32});
  add_inception("inception3b", {256, 128, 128, 192, 32, 96, 64});
  add_pool("maxpool3", 3);
  add_inception("inception4a", {480, 192, 96, 208, 16, 48, 64});
  add_inception("inception4b", {512, 160, 112, 224, 24, 64, 64});
  add_inception("inception4c", {512, 128, 128, 256, 24, 64, 64});
  add_inception("inception4d", {512, 112, 144, 288, 32, 64, 64});
  add_inception("inception4e", {528, 256, 160, 320, 32, 128, 128});
  add_pool("maxpool4", 2);
  add_inception("inception5a", {832, 256, 160, 320, 32, 128, 128});
  add_inception("inception5b", {832, 384, 192, 384, 48, 128, 128});
  aux1 = nullptr;
  aux2 = nullptr;
  if (options.aux_logits) {
    aux1 = register_module("aux1", InceptionAux(512, options.num_classes, options.dropout_aux));
    aux2 = register_module("aux2", InceptionAux(528, options.num_classes, options.dropout_aux));
  }
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  dropout = register_module("dropout", nn::Dropout(options.dropout));
  fc = register_module("fc", nn::Linear(1024, options.num_classes));
  if (options.init_weights) {
    detail::start_truncated(*this, [](const nn::Module&) { return 0.01; });
  }
}

torch::Tensor GoogLeNetImpl::checked(const torch::Tensor& x) const {
  detail::check_image_for("GoogLeNet", *layers[0].value()->as<BasicConv2d>()->conv, x);
  return options.transform_input ? transform_input(x) : x;
}

torch::Tensor GoogLeNetImpl::head(const torch::Tensor& x) {
  const torch::Tensor y = avgpool(x).flatten(1);
  return fc(dropout(y));
}

torch::Tensor GoogLeNetImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = checked(x);
  for (const auto& layer : layers) y = forward_child(*layer.value(), y);
  return head(y);
}

MultiHead::Outputs GoogLeNetImpl::outputs(const torch::Tensor& x) {
  const bool wants_auxiliary = options.aux_logits && is_training();
  torch::Tensor y = checked(x);
  torch::Tensor first;
  torch::Tensor second;
  for (const auto& layer : layers) {
    y = forward_child(*layer.value(), y);
    if (wants_auxiliary && layer.key() == "inception4a") first = aux1(y);
    if (wants_auxiliary && layer.key() == "inception4d") second = aux2(y);
  }
  Outputs outputs;
  outputs.insert("logits", head(y));
  if (wants_auxiliary) {
    outputs.insert("aux_logits2", second);
    outputs.insert("aux_logits1", first);
  }
  return outputs;
}

std::vector<torch::Tensor> GoogLeNetImpl::features(const torch::Tensor& x) {
  std::vector<torch::Tensor> maps;
  torch::Tensor y = checked(x);
  for (const auto& layer : layers) {
    if (layer.key().starts_with("maxpool")) maps.push_back(y);
    y = forward_child(*layer.value(), y);
  }
  maps.push_back(y);
  return maps;
}

GoogLeNet googlenet(const GoogLeNetOptions& options) {
  return GoogLeNet(options);
}

}  // namespace convkit::models

#include <convkit/init.h>
#include <convkit/models/inception.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include <utility>

namespace convkit::models {

namespace nn = torch::nn;

namespace inception {

BasicConv2dImpl::BasicConv2dImpl(const nn::Conv2dOptions& options) : options(options) {
  BasicConv2dImpl::reset();
}

void BasicConv2dImpl::reset() {
  options.bias(false);
  conv = register_module("conv", nn::Conv2d(convkit::detail::checked("BasicConv2d", options)));
  bn = register_module("bn",
                       nn::BatchNorm2d(nn::BatchNorm2dOptions(options.out_channels()).eps(0.001)));
}

torch::Tensor BasicConv2dImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("BasicConv2d", x, options.in_channels(),
                               convkit::detail::Batch::kRequired, conv->weight);
  torch::Tensor y = conv(x);
  y = bn(y);
  return at::relu_(y);
}

InceptionBlockImpl::InceptionBlockImpl(Mixed kind, int64_t in_channels, int64_t channels)
    : kind(kind), in_channels(in_channels), channels(channels) {
  InceptionBlockImpl::reset();
}

void InceptionBlockImpl::reset() {
  constexpr const char* kName = "InceptionBlock";
  convkit::detail::check_positive(kName, "in_channels", in_channels);
  const bool wants_channels = kind == Mixed::kA || kind == Mixed::kC;
  if (wants_channels) convkit::detail::check_positive(kName, "channels", channels);
  layers.clear();
  // A convolution of kernel height by width that keeps the size, unless it has a stride.
  const auto add = [this](const char* name, int64_t in, int64_t out, int64_t height, int64_t width,
                          int64_t stride = 1) {
    auto options = nn::Conv2dOptions(in, out, {height, width}).stride(stride);
    if (stride == 1) options.padding(torch::ExpandingArray<2>({height / 2, width / 2}));
    layers.insert(name, register_module(name, BasicConv2d(options)));
  };
  const int64_t in = in_channels;
  switch (kind) {
    case Mixed::kA:
      add("branch1x1", in, 64, 1, 1);
      add("branch5x5_1", in, 48, 1, 1);
      add("branch5x5_2", 48, 64, 5, 5);
      add("branch3x3dbl_1", in, 64, 1, 1);
      add("branch3x3dbl_2", 64, 96, 3, 3);
      add("branch3x3dbl_3", 96, 96, 3, 3);
      add("branch_pool", in, channels, 1, 1);
      return;
    case Mixed::kB:
      add("branch3x3", in, 384, 3, 3, 2);
      add("branch3x3dbl_1", in, 64, 1, 1);
      add("branch3x3dbl_2", 64, 96, 3, 3);
      add("branch3x3dbl_3", 96, 96, 3, 3, 2);
      return;
    case Mixed::kC:
      add("branch1x1", in, 192, 1, 1);
      add("branch7x7_1", in, channels, 1, 1);
      add("branch7x7_2", channels, channels, 1, 7);
      add("branch7x7_3", channels, 192, 7, 1);
      add("branch7x7dbl_1", in, channels, 1, 1);
      add("branch7x7dbl_2", channels, channels, 7, 1);
      add("branch7x7dbl_3", channels, channels, 1, 7);
      add("branch7x7dbl_4", channels, channels, 7, 1);
      add("branch7x7dbl_5", channels, 192, 1, 7);
      add("branch_pool", in, 192, 1, 1);
      return;
    case Mixed::kD:
      add("branch3x3_1", in, 192, 1, 1);
      add("branch3x3_2", 192, 320, 3, 3, 2);
      add("branch7x7x3_1", in, 192, 1, 1);
      add("branch7x7x3_2", 192, 192, 1, 7);
      add("branch7x7x3_3", 192, 192, 7, 1);
      add("branch7x7x3_4", 192, 192, 3, 3, 2);
      return;
    case Mixed::kE:
      add("branch1x1", in, 320, 1, 1);
      add("branch3x3_1", in, 384, 1, 1);
      add("branch3x3_2a", 384, 384, 1, 3);
      add("branch3x3_2b", 384, 384, 3, 1);
      add("branch3x3dbl_1", in, 448, 1, 1);
      add("branch3x3dbl_2", 448, 384, 3, 3);
      add("branch3x3dbl_3a", 384, 384, 1, 3);
      add("branch3x3dbl_3b", 384, 384, 3, 1);
      add("branch_pool", in, 192, 1, 1);
      return;
  }
  TORCH_CHECK_VALUE(false, kName, ": expected one of Mixed, got ", static_cast<int>(kind));
}

/// Runs name_1, name_2, ..., name_steps; without steps `name` itself.
torch::Tensor InceptionBlockImpl::branch(const torch::Tensor& x, const std::string& name,
                                         int64_t steps) {
  if (steps == 0) return forward_child(*layers[name], x);
  torch::Tensor y = x;
  for (int64_t i = 1; i <= steps; ++i) {
    y = forward_child(*layers[name + "_" + std::to_string(i)], y);
  }
  return y;
}

torch::Tensor InceptionBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("InceptionBlock", x, in_channels, convkit::detail::Batch::kRequired,
                               layers[0].value()->as<BasicConv2d>()->conv->weight);
  std::vector<torch::Tensor> branches;
  // Two convolutions of one input, side by side.
  const auto both = [this](const torch::Tensor& y, const std::string& name) {
    const torch::Tensor a = forward_child(*layers[name + "a"], y);
    return at::cat({a, forward_child(*layers[name + "b"], y)}, 1);
  };
  switch (kind) {
    case Mixed::kA:
      branches = {branch(x, "branch1x1", 0), branch(x, "branch5x5", 2),
                  branch(x, "branch3x3dbl", 3)};
      break;
    case Mixed::kB:
      branches = {branch(x, "branch3x3", 0), branch(x, "branch3x3dbl", 3)};
      break;
    case Mixed::kC:
      branches = {branch(x, "branch1x1", 0), branch(x, "branch7x7", 3),
                  branch(x, "branch7x7dbl", 5)};
      break;
    case Mixed::kD:
      branches = {branch(x, "branch3x3", 2), branch(x, "branch7x7x3", 4)};
      break;
    case Mixed::kE:
      branches = {branch(x, "branch1x1", 0), both(branch(x, "branch3x3", 1), "branch3x3_2"),
                  both(branch(x, "branch3x3dbl", 2), "branch3x3dbl_3")};
      break;
  }
  if (kind == Mixed::kB || kind == Mixed::kD) {
    branches.push_back(at::max_pool2d(x, 3, 2));
  } else {
    branches.push_back(branch(at::avg_pool2d(x, 3, 1, 1), "branch_pool", 0));
  }
  return at::cat(branches, 1);
}

InceptionAuxImpl::InceptionAuxImpl(int64_t in_channels, int64_t num_classes)
    : in_channels(in_channels), num_classes(num_classes) {
  InceptionAuxImpl::reset();
}

void InceptionAuxImpl::reset() {
  detail::check_num_classes("InceptionAux", num_classes);
  conv0 = register_module("conv0", BasicConv2d(nn::Conv2dOptions(in_channels, 128, 1)));
  conv1 = register_module("conv1", BasicConv2d(nn::Conv2dOptions(128, 768, 5)));
  fc = register_module("fc", nn::Linear(768, num_classes));
}

torch::Tensor InceptionAuxImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("InceptionAux", x, in_channels, convkit::detail::Batch::kRequired,
                               conv0->conv->weight);
  torch::Tensor y = at::avg_pool2d(x, 5, 3);
  y = conv0(y);
  y = conv1(y);
  return fc(at::adaptive_avg_pool2d(y, {1, 1}).flatten(1));
}

torch::Tensor transform_input(const torch::Tensor& x) {
  const auto channel = [&x](int64_t i, double deviation, double mean) {
    return x.select(1, i).unsqueeze(1) * (deviation / 0.5) + (mean - 0.5) / 0.5;
  };
  return at::cat({channel(0, 0.229, 0.485), channel(1, 0.224, 0.456), channel(2, 0.225, 0.406)}, 1);
}

Inception3Impl::Inception3Impl(const InceptionV3Options& options) : options(options) {
  Inception3Impl::reset();
}

void Inception3Impl::reset() {
  constexpr const char* kName = "Inception3";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  layers.clear();
  const auto add = [this](const char* name, const SequentialChild& layer) {
    layers.insert(name, register_module(name, layer.module));
  };
  const auto add_pool = [&](const char* name) {
    add(name, nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2)));
  };
  add("Conv2d_1a_3x3", BasicConv2d(nn::Conv2dOptions(3, 32, 3).stride(2)));
  add("Conv2d_2a_3x3", BasicConv2d(nn::Conv2dOptions(32, 32, 3)));
  add("Conv2d_2b_3x3", BasicConv2d(nn::Conv2dOptions(32, 64, 3).padding(1)));
  add_pool("maxpool1");
  add("Conv2d_3b_1x1", BasicConv2d(nn::Conv2dOptions(64, 80, 1)));
  add("Conv2d_4a_3x3", BasicConv2d(nn::Conv2dOptions(80, 192, 3)));
  add_pool("maxpool2");
  add("Mixed_5b", InceptionBlock(Mixed::kA, 192, 32));
  add("Mixed_5c", InceptionBlock(Mixed::kA, 256, 64));
  add("Mixed_5d", InceptionBlock(Mixed::kA, 288, 64));
  add("Mixed_6a", InceptionBlock(Mixed::kB, 288));
  add("Mixed_6b", InceptionBlock(Mixed::kC, 768, 128));
  add("Mixed_6c", InceptionBlock(Mixed::kC, 768, 160));
  add("Mixed_6d", InceptionBlock(Mixed::kC, 768, 160));
  add("Mixed_6e", InceptionBlock(Mixed::kC, 768, 192));
  AuxLogits = nullptr;
  if (options.aux_logits) {
    AuxLogits = register_module("AuxLogits", InceptionAux(768, options.num_classes));
  }
  add("Mixed_7a", InceptionBlock(Mixed::kD, 768));
  add("Mixed_7b", InceptionBlock(Mixed::kE, 1280));
  add("Mixed_7c", InceptionBlock(Mixed::kE, 2048));
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  dropout = register_module("dropout", nn::Dropout(options.dropout));
  fc = register_module("fc", nn::Linear(2048, options.num_classes));
  if (!options.init_weights) return;
  detail::start_truncated(*this, [this](const nn::Module& layer) {
    if (!AuxLogits) return 0.1;
    // Python sets a deviation of conv1, which holds a convolution and is none, to no effect.
    return &layer == AuxLogits->fc.get() ? 0.001 : 0.1;
  });
}

torch::Tensor Inception3Impl::checked(const torch::Tensor& x) const {
  detail::check_image_for("Inception3", *layers[0].value()->as<BasicConv2d>()->conv, x);
  return options.transform_input ? transform_input(x) : x;
}

torch::Tensor Inception3Impl::head(const torch::Tensor& x) {
  torch::Tensor y = avgpool(x);
  y = dropout(y);
  return fc(y.flatten(1));
}

torch::Tensor Inception3Impl::forward(const torch::Tensor& x) {
  torch::Tensor y = checked(x);
  for (const auto& layer : layers) y = forward_child(*layer.value(), y);
  return head(y);
}

MultiHead::Outputs Inception3Impl::outputs(const torch::Tensor& x) {
  torch::Tensor y = checked(x);
  torch::Tensor auxiliary;
  for (const auto& layer : layers) {
    y = forward_child(*layer.value(), y);
    if (layer.key() == "Mixed_6e" && AuxLogits && is_training()) auxiliary = AuxLogits(y);
  }
  Outputs outputs;
  outputs.insert("logits", head(y));
  if (auxiliary.defined()) outputs.insert("aux_logits", auxiliary);
  return outputs;
}

std::vector<torch::Tensor> Inception3Impl::features(const torch::Tensor& x) {
  std::vector<torch::Tensor> maps;
  torch::Tensor y = checked(x);
  for (const auto& layer : layers) {
    const std::string& name = layer.key();
    const bool halves =
        name == "maxpool1" || name == "maxpool2" || name == "Mixed_6a" || name == "Mixed_7a";
    if (halves) maps.push_back(y);
    y = forward_child(*layer.value(), y);
  }
  maps.push_back(y);
  return maps;
}

}  // namespace inception

inception::Inception3 inception_v3(const InceptionV3Options& options) {
  return inception::Inception3(options);
}

}  // namespace convkit::models

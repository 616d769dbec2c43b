#include <convkit/models/xception.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/dropout.h>
#include <torch/nn/modules/pooling.h>

#include <string>
#include <utility>

namespace convkit::models {

namespace nn = torch::nn;

namespace xception {

SeparableConv2dImpl::SeparableConv2dImpl(int64_t in_channels, int64_t out_channels,
                                         int64_t kernel_size, int64_t stride, int64_t padding,
                                         int64_t dilation)
    : in_channels(in_channels),
      out_channels(out_channels),
      kernel_size(kernel_size),
      stride(stride),
      padding(padding),
      dilation(dilation) {
  SeparableConv2dImpl::reset();
}

void SeparableConv2dImpl::reset() {
  constexpr const char* kName = "SeparableConv2d";
  convkit::detail::check_positive(kName, "in_channels", in_channels);
  convkit::detail::check_positive(kName, "out_channels", out_channels);
  const auto depthwise = nn::Conv2dOptions(in_channels, in_channels, kernel_size)
                             .stride(stride)
                             .padding(padding)
                             .dilation(dilation)
                             .groups(in_channels)
                             .bias(false);
  conv1 = register_module("conv1", nn::Conv2d(convkit::detail::checked(kName, depthwise)));
  pointwise = register_module("pointwise", detail::conv1x1(in_channels, out_channels));
}

torch::Tensor SeparableConv2dImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("SeparableConv2d", x, in_channels, convkit::detail::Batch::kRequired,
                               conv1->weight);
  return pointwise(conv1(x));
}

BlockImpl::BlockImpl(BlockOptions block_options) : options(std::move(block_options)) {
  BlockImpl::reset();
}

void BlockImpl::reset() {
  const int64_t in_channels = options.in_channels();
  const int64_t out_channels = options.out_channels();
  const int64_t strides = options.strides();
  convkit::detail::check_positive("Block", "in_channels", in_channels);
  convkit::detail::check_positive("Block", "out_channels", out_channels);
  convkit::detail::check_positive("Block", "reps", options.reps());
  convkit::detail::check_positive("Block", "strides", strides);
  if (out_channels != in_channels || strides != 1) {
    skip = register_module(
        "skip",
        nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).stride(strides).bias(false)));
    skipbn = register_module("skipbn", nn::BatchNorm2d(out_channels));
  }
  rep = register_module("rep", Sequential());
  const int64_t growing = options.grow_first() ? 0 : options.reps() - 1;
  for (int64_t i = 0; i < options.reps(); ++i) {
    const int64_t from = i <= growing ? in_channels : out_channels;
    const int64_t to = i < growing ? in_channels : out_channels;
    // The first one must leave x as it is, which is added at the end.
    if (i > 0) rep->push_back(detail::relu());
    if (i == 0 && options.start_with_relu()) rep->push_back(nn::ReLU());
    rep->push_back(SeparableConv2d(from, to, 3, 1, 1));
    rep->push_back(nn::BatchNorm2d(to));
  }
  if (strides != 1) {
    rep->push_back(nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(strides).padding(1)));
  }
}

torch::Tensor BlockImpl::forward(const torch::Tensor& x) {
  const torch::Tensor& weight =
      skip ? skip->weight
           : rep[options.start_with_relu() ? 1 : 0]->as<SeparableConv2d>()->conv1->weight;
  convkit::detail::check_input("Block", x, options.in_channels(), convkit::detail::Batch::kRequired,
                               weight);
  torch::Tensor y = rep(x);
  y += skip ? skipbn(skip(x)) : x;
  return y;
}

XceptionImpl::XceptionImpl(const XceptionOptions& options) : options(options) {
  XceptionImpl::reset();
}

void XceptionImpl::reset() {
  constexpr const char* kName = "Xception";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_positive(kName, "in_chans", options.in_chans);
  convkit::detail::check_probability(kName, "drop_rate", options.drop_rate);
  const auto conv3x3 = [](int64_t in_channels, int64_t out_channels, int64_t stride) {
    return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 3).stride(stride).bias(false));
  };
  conv1 = register_module("conv1", conv3x3(options.in_chans, 32, 2));
  bn1 = register_module("bn1", nn::BatchNorm2d(32));
  act1 = register_module("act1", detail::relu());
  conv2 = register_module("conv2", conv3x3(32, 64, 1));
  bn2 = register_module("bn2", nn::BatchNorm2d(64));
  act2 = register_module("act2", detail::relu());
  const auto block = [](std::size_t index) {
    if (index == 0) return BlockOptions(64, 128, 2).strides(2).start_with_relu(false);
    if (index == 1) return BlockOptions(128, 256, 2).strides(2);
    if (index == 2) return BlockOptions(256, 728, 2).strides(2);
    if (index == 11) return BlockOptions(728, 1024, 2).strides(2).grow_first(false);
    return BlockOptions(728, 728, 3);
  };
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    blocks[i] = register_module("block" + std::to_string(i + 1), xception::Block(block(i)));
  }
  conv3 = register_module("conv3", SeparableConv2d(1024, 1536, 3, 1, 1));
  bn3 = register_module("bn3", nn::BatchNorm2d(1536));
  act3 = register_module("act3", detail::relu());
  conv4 = register_module("conv4", SeparableConv2d(1536, 2048, 3, 1, 1));
  bn4 = register_module("bn4", nn::BatchNorm2d(2048));
  act4 = register_module("act4", detail::relu());
  global_pool = register_module("global_pool", detail::mean_pool());
  fc = register_module("fc", nn::Linear(2048, options.num_classes));
  detail::start_convolutions(*this);
}

torch::Tensor XceptionImpl::run(const torch::Tensor& x, std::vector<torch::Tensor>* maps) {
  detail::check_image_for("Xception", *conv1, x);
  torch::Tensor y = act1(bn1(conv1(x)));
  y = act2(bn2(conv2(y)));
  if (maps != nullptr) maps->push_back(y);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    y = blocks[i](y);
    if (maps != nullptr && (i == 0 || i == 1 || i == 10)) maps->push_back(y.relu());
  }
  y = act3(bn3(conv3(y)));
  y = act4(bn4(conv4(y)));
  if (maps != nullptr) maps->push_back(y);
  return y;
}

torch::Tensor XceptionImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = global_pool(run(x, nullptr));
  if (options.drop_rate > 0) y = at::dropout(y, options.drop_rate, is_training());
  return fc(y);
}

std::vector<torch::Tensor> XceptionImpl::features(const torch::Tensor& x) {
  std::vector<torch::Tensor> maps;
  run(x, &maps);
  return maps;
}

}  // namespace xception

xception::Xception legacy_xception(const XceptionOptions& options) {
  return xception::Xception(options);
}

}  // namespace convkit::models

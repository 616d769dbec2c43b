#include <convkit/models/shufflenetv2.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cstddef>
#include <string>

namespace convkit::models {

namespace nn = torch::nn;

using detail::conv1x1;
using detail::relu;

namespace shufflenetv2 {

namespace {

nn::Conv2d depthwise_conv(int64_t channels, int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(channels, channels, 3)
                        .stride(stride)
                        .padding(1)
                        .groups(channels)
                        .bias(false));
}

/// Takes the channels of two groups in turn.
torch::Tensor channel_shuffle(const torch::Tensor& x) {
  const int64_t channels = x.size(1);
  return x.view({x.size(0), 2, channels / 2, x.size(2), x.size(3)})
      .transpose(1, 2)
      .contiguous()
      .view({x.size(0), channels, x.size(2), x.size(3)});
}

}  // namespace

InvertedResidualImpl::InvertedResidualImpl(int64_t inp, int64_t oup, int64_t stride)
    : inp(inp), oup(oup), stride(stride) {
  InvertedResidualImpl::reset();
}

void InvertedResidualImpl::reset() {
  constexpr const char* kName = "InvertedResidual";
  const int64_t features = oup / 2;
  convkit::detail::check_positive(kName, "inp", inp);
  convkit::detail::check_positive(kName, "oup / 2", features);
  TORCH_CHECK_VALUE(stride >= 1 && stride <= 3, kName, ": expected stride 1, 2 or 3, got ", stride);
  TORCH_CHECK_VALUE(stride > 1 || inp == 2 * features, kName,
                    ": expected for stride 1 as many channels inp as 2 floor(oup / 2) = ",
                    2 * features, ", got ", inp);
  branch1 = register_module("branch1", Sequential());
  if (stride > 1) {
    branch1->push_back(depthwise_conv(inp, stride));
    branch1->push_back(nn::BatchNorm2d(inp));
    branch1->push_back(conv1x1(inp, features));
    branch1->push_back(nn::BatchNorm2d(features));
    branch1->push_back(relu());
  }
  branch2 = register_module(
      "branch2",
      Sequential{conv1x1(stride > 1 ? inp : features, features), nn::BatchNorm2d(features), relu(),
                 depthwise_conv(features, stride), nn::BatchNorm2d(features),
                 conv1x1(features, features), nn::BatchNorm2d(features), relu()});
}

torch::Tensor InvertedResidualImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("InvertedResidual", x, inp, convkit::detail::Batch::kRequired,
                               branch2[0]->as<nn::Conv2d>()->weight);
  if (stride == 1) {
    const std::vector<torch::Tensor> halves = x.chunk(2, 1);
    return channel_shuffle(torch::cat({halves[0], branch2(halves[1])}, 1));
  }
  const torch::Tensor around = branch1(x);
  return channel_shuffle(torch::cat({around, branch2(x)}, 1));
}

Layout layout(const std::string& name) {
  if (name == "shufflenet_v2_x0_5") return {{4, 8, 4}, {24, 48, 96, 192, 1024}};
  if (name == "shufflenet_v2_x1_0") return {{4, 8, 4}, {24, 116, 232, 464, 1024}};
  if (name == "shufflenet_v2_x1_5") return {{4, 8, 4}, {24, 176, 352, 704, 1024}};
  if (name == "shufflenet_v2_x2_0") return {{4, 8, 4}, {24, 244, 488, 976, 2048}};
  TORCH_CHECK_VALUE(false, "shufflenetv2::layout: expected the name of a ShuffleNetV2, got \"",
                    name, "\"");
}

ShuffleNetV2Impl::ShuffleNetV2Impl(const Layout& layout, const ShuffleNetV2Options& options)
    : layout(layout), options(options) {
  ShuffleNetV2Impl::reset();
}

void ShuffleNetV2Impl::reset() {
  constexpr const char* kName = "ShuffleNetV2";
  detail::check_num_classes(kName, options.num_classes);
  for (const int64_t channels : layout.stages_out_channels) {
    convkit::detail::check_positive(kName, "stages_out_channels", channels);
  }
  int64_t channels = layout.stages_out_channels[0];
  conv1 = register_module(
      "conv1",
      Sequential{nn::Conv2d(nn::Conv2dOptions(3, channels, 3).stride(2).padding(1).bias(false)),
                 nn::BatchNorm2d(channels), relu()});
  maxpool = register_module("maxpool", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));
  for (std::size_t i = 0; i < stages.size(); ++i) {
    convkit::detail::check_positive(kName, "stages_repeats", layout.stages_repeats[i]);
    const int64_t out_channels = layout.stages_out_channels[i + 1];
    stages[i] = register_module("stage" + std::to_string(i + 2), Sequential());
    stages[i]->push_back(InvertedResidual(channels, out_channels, 2));
    for (int64_t block = 1; block < layout.stages_repeats[i]; ++block) {
      stages[i]->push_back(InvertedResidual(out_channels, out_channels, 1));
    }
    channels = out_channels;
  }
  const int64_t last_channels = layout.stages_out_channels.back();
  conv5 = register_module("conv5", Sequential{conv1x1(channels, last_channels),
                                              nn::BatchNorm2d(last_channels), relu()});
  fc = register_module("fc", nn::Linear(last_channels, options.num_classes));
}

torch::Tensor ShuffleNetV2Impl::forward(const torch::Tensor& x) {
  detail::check_image_for("ShuffleNetV2", *conv1[0], x);
  torch::Tensor y = conv1(x);
  y = maxpool(y);
  for (Sequential& stage : stages) y = stage(y);
  y = conv5(y);
  return fc(y.mean({2, 3}));
}

std::vector<torch::Tensor> ShuffleNetV2Impl::features(const torch::Tensor& x) {
  detail::check_image_for("ShuffleNetV2", *conv1[0], x);
  std::vector<torch::Tensor> maps{conv1(x)};
  maps.push_back(maxpool(maps.back()));
  for (Sequential& stage : stages) maps.push_back(stage(maps.back()));
  maps.back() = conv5(maps.back());
  return maps;
}

}  // namespace shufflenetv2

shufflenetv2::ShuffleNetV2 shufflenet_v2_x0_5(const ShuffleNetV2Options& options) {
  return shufflenetv2::ShuffleNetV2(shufflenetv2::layout("shufflenet_v2_x0_5"), options);
}
shufflenetv2::ShuffleNetV2 shufflenet_v2_x1_0(const ShuffleNetV2Options& options) {
  return shufflenetv2::ShuffleNetV2(shufflenetv2::layout("shufflenet_v2_x1_0"), options);
}
shufflenetv2::ShuffleNetV2 shufflenet_v2_x1_5(const ShuffleNetV2Options& options) {
  return shufflenetv2::ShuffleNetV2(shufflenetv2::layout("shufflenet_v2_x1_5"), options);
}
shufflenetv2::ShuffleNetV2 shufflenet_v2_x2_0(const ShuffleNetV2Options& options) {
  return shufflenetv2::ShuffleNetV2(shufflenetv2::layout("shufflenet_v2_x2_0"), options);
}

}  // namespace convkit::models

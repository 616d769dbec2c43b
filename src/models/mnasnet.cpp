#include <convkit/init.h>
#include <convkit/models/mnasnet.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>

namespace convkit::models {

namespace nn = torch::nn;

using detail::conv1x1;
using detail::relu;

namespace mnasnet {

namespace {

constexpr double kMomentum = 1 - 0.9997;

nn::Conv2d depthwise(int64_t channels, int64_t kernel_size, int64_t stride) {
  return nn::Conv2d(nn::Conv2dOptions(channels, channels, kernel_size)
                        .stride(stride)
                        .padding(kernel_size / 2)
                        .groups(channels)
                        .bias(false));
}

nn::BatchNorm2d norm(int64_t channels, double momentum) {
  return nn::BatchNorm2d(nn::BatchNorm2dOptions(channels).momentum(momentum));
}

}  // namespace

InvertedResidualImpl::InvertedResidualImpl(int64_t in_ch, int64_t out_ch, int64_t kernel_size,
                                           int64_t stride, int64_t expansion_factor,
                                           double bn_momentum)
    : in_ch(in_ch),
      out_ch(out_ch),
      kernel_size(kernel_size),
      stride(stride),
      expansion_factor(expansion_factor),
      bn_momentum(bn_momentum) {
  InvertedResidualImpl::reset();
}

void InvertedResidualImpl::reset() {
  constexpr const char* kName = "InvertedResidual";
  convkit::detail::check_positive(kName, "in_ch", in_ch);
  convkit::detail::check_positive(kName, "out_ch", out_ch);
  convkit::detail::check_positive(kName, "expansion_factor", expansion_factor);
  const int64_t mid_ch = in_ch * expansion_factor;
  convkit::detail::check_positive(kName, "in_ch expansion_factor", mid_ch);
  TORCH_CHECK_VALUE(kernel_size == 3 || kernel_size == 5, kName,
                    ": expected kernel_size 3 or 5, got ", kernel_size);
  detail::check_stride(kName, stride);
  layers = register_module(
      "layers", Sequential{conv1x1(in_ch, mid_ch), norm(mid_ch, bn_momentum), relu(),
                           depthwise(mid_ch, kernel_size, stride), norm(mid_ch, bn_momentum),
                           relu(), conv1x1(mid_ch, out_ch), norm(out_ch, bn_momentum)});
}

torch::Tensor InvertedResidualImpl::forward(const torch::Tensor& x) {
  detail::check_image_for("InvertedResidual", *layers[0], x);
  return stride == 1 && in_ch == out_ch ? layers(x) + x : layers(x);
}

MNASNetImpl::MNASNetImpl(double alpha, const MNASNetOptions& options)
    : alpha(alpha), options(options) {
  MNASNetImpl::reset();
}

void MNASNetImpl::reset() {
  constexpr const char* kName = "MNASNet";
  struct Stack {
    int64_t channels, kernel_size, stride, expansion_factor, repeats;
  };
  constexpr Stack kStacks[] = {{24, 3, 2, 3, 3}, {40, 5, 2, 3, 3},  {80, 5, 2, 6, 3},
                               {96, 3, 1, 6, 2}, {192, 5, 2, 6, 4}, {320, 3, 1, 6, 1}};
  detail::check_multiplier(kName, "alpha", alpha);
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  TORCH_CHECK_VALUE(options.version == 1 || options.version == 2, kName,
                    ": expected version 1 or 2, got ", options.version);
  const auto depth = [](int64_t channels, double factor) {
    return make_divisible(static_cast<double>(channels) * factor, 8);
  };
  const double stem = options.version == 1 ? 1 : alpha;
  const int64_t first = depth(32, stem);

  reset_features("layers");
  add_feature(nn::Conv2d(nn::Conv2dOptions(3, first, 3).stride(2).padding(1).bias(false)), true);
  add_feature(norm(first, kMomentum));
  add_feature(relu());
  add_feature(depthwise(first, 3, 1));
  add_feature(norm(first, kMomentum));
  add_feature(relu());
  int64_t channels = depth(16, stem);
  add_feature(conv1x1(first, channels));
  add_feature(norm(channels, kMomentum));
  for (const Stack& stack : kStacks) {
    const int64_t out_channels = depth(stack.channels, alpha);
    Sequential blocks;
    for (int64_t i = 0; i < stack.repeats; ++i) {
      blocks->push_back(InvertedResidual(channels, out_channels, stack.kernel_size,
                                         i == 0 ? stack.stride : 1, stack.expansion_factor,
                                         kMomentum));
      channels = out_channels;
    }
    add_feature(blocks, stack.stride == 2);
  }
  add_feature(conv1x1(channels, 1280));
  add_feature(norm(1280, kMomentum));
  add_feature(relu());
  classifier = register_module(
      "classifier", Sequential{nn::Dropout(nn::DropoutOptions(options.dropout).inplace(true)),
                               nn::Linear(1280, options.num_classes)});
  detail::start_convolutions(*this);
  detail::start_linears(*this, [](auto& linear) {
    nn::init::kaiming_uniform_(linear.weight, 0, torch::kFanOut, torch::kSigmoid);
  });
}

torch::Tensor MNASNetImpl::forward(const torch::Tensor& x) {
  const torch::Tensor y = features_(checked(x));
  return classifier(y.mean({2, 3}));
}

}  // namespace mnasnet

mnasnet::MNASNet mnasnet0_5(const MNASNetOptions& options) {
  return mnasnet::MNASNet(0.5, options);
}
mnasnet::MNASNet mnasnet0_75(const MNASNetOptions& options) {
  return mnasnet::MNASNet(0.75, options);
}
mnasnet::MNASNet mnasnet1_0(const MNASNetOptions& options) {
  return mnasnet::MNASNet(1.0, options);
}
mnasnet::MNASNet mnasnet1_3(const MNASNetOptions& options) {
  return mnasnet::MNASNet(1.3, options);
}

}  // namespace convkit::models

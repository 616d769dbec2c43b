#include <convkit/attention.h>

#include "check.h"

#include <algorithm>
#include <cmath>

namespace convkit {

namespace nn = torch::nn;

SqueezeExcitationImpl::SqueezeExcitationImpl(SqueezeExcitationOptions block_options)
    : options(std::move(block_options)) {
  SqueezeExcitationImpl::reset();
}

void SqueezeExcitationImpl::reset() {
  constexpr const char* kName = "SqueezeExcitation";
  detail::check_positive(kName, "input_channels", options.input_channels());
  detail::check_positive(kName, "squeeze_channels", options.squeeze_channels());
  TORCH_CHECK_VALUE(options.activation().kind != Activation::kNone &&
                        options.scale_activation().kind != Activation::kNone,
                    kName, ": expected an activation and a scale_activation, got kNone");
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  const auto linear = [](int64_t in_channels, int64_t out_channels) {
    return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1));
  };
  fc1 = register_module("fc1", linear(options.input_channels(), options.squeeze_channels()));
  fc2 = register_module("fc2", linear(options.squeeze_channels(), options.input_channels()));
  activation = register_module("activation", make_activation(options.activation()));
  scale_activation =
      register_module("scale_activation", make_activation(options.scale_activation()));
}

torch::Tensor SqueezeExcitationImpl::forward(const torch::Tensor& x) {
  detail::check_input("SqueezeExcitation", x, options.input_channels(), detail::Batch::kRequired,
                      fc1->weight);
  const torch::Tensor squeezed = forward_child(*activation, fc1(avgpool(x)));
  return forward_child(*scale_activation, fc2(squeezed)) * x;
}

EcaModuleImpl::EcaModuleImpl(EcaModuleOptions module_options) : options(std::move(module_options)) {
  EcaModuleImpl::reset();
}

void EcaModuleImpl::reset() {
  int64_t kernel_size = options.kernel_size();
  TORCH_CHECK_VALUE(options.gamma() > 0, "EcaModule: expected gamma > 0, got ", options.gamma());
  if (const auto channels = options.channels()) {
    detail::check_positive("EcaModule", "channels", *channels);
    const double suggested =
        std::abs(std::log2(static_cast<double>(*channels)) + options.beta()) / options.gamma();
    TORCH_CHECK_VALUE(suggested < 1e6, "EcaModule: expected a kernel below 10^6, got ", suggested);
    const auto length = static_cast<int64_t>(suggested);
    kernel_size = std::max<int64_t>(length % 2 == 1 ? length : length + 1, 3);
  }
  detail::check_positive("EcaModule", "kernel_size", kernel_size);
  TORCH_CHECK_VALUE(kernel_size % 2 == 1, "EcaModule: expected an odd kernel_size, got ",
                    kernel_size);
  conv = register_module(
      "conv",
      nn::Conv1d(nn::Conv1dOptions(1, 1, kernel_size).padding(kernel_size / 2).bias(false)));
}

torch::Tensor EcaModuleImpl::forward(const torch::Tensor& x) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() == 4, "EcaModule: expected input [N, C, H, W], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  const torch::Tensor means = x.mean({2, 3}).view({x.size(0), 1, -1});
  return x * conv(means).sigmoid().view({x.size(0), -1, 1, 1}).expand_as(x);
}

}  // namespace convkit

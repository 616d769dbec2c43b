#include <convkit/blocks.h>

#include "core/check.h"
#include "layers/norm.h"

#include <ATen/ops/empty.h>

namespace convkit {

namespace nn = torch::nn;

ConvBlockImpl::ConvBlockImpl(ConvBlockOptions block_options) : options(std::move(block_options)) {
  ConvBlockImpl::reset();
}

void ConvBlockImpl::reset() {
  const auto conv_options =
      nn::Conv2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
          .stride(options.stride())
          .padding(options.padding());
  conv = register_module("conv", nn::Conv2d(detail::checked("ConvBlock", conv_options)));
  bn = register_module("bn", nn::BatchNorm2d(options.out_channels()));
  relu = register_module("relu", nn::ReLU(nn::ReLUOptions().inplace(true)));
}

torch::Tensor ConvBlockImpl::forward(const torch::Tensor& x) {
  detail::check_input("ConvBlock", x, options.in_channels(), detail::Batch::kRequired,
                      conv->weight);
  return relu(bn(conv(x)));
}

Conv2dNormActivationImpl::Conv2dNormActivationImpl(Conv2dNormActivationOptions block_options)
    : options(std::move(block_options)) {
  Conv2dNormActivationImpl::reset();
}

void Conv2dNormActivationImpl::reset() {
  const auto& kernel_size = *options.kernel_size();
  const auto& dilation = *options.dilation();
  const Conv2dNormActivationOptions::padding_t around = torch::ExpandingArray<2>(
      {(kernel_size[0] - 1) / 2 * dilation[0], (kernel_size[1] - 1) / 2 * dilation[1]});
  const auto conv_options =
      nn::Conv2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
          .stride(options.stride())
          .padding(options.padding().value_or(around))
          .dilation(options.dilation())
          .groups(options.groups())
          .bias(options.bias().value_or(options.norm().kind == Norm::kNone));
  conv = register_module("0", nn::Conv2d(detail::checked("Conv2dNormActivation", conv_options)));
  norm = detail::norm_of("Conv2dNormActivation", options.norm(), options.out_channels());
  if (norm != nullptr) register_module("1", norm);
  activation = make_activation(options.activation(), options.inplace());
  if (activation != nullptr) register_module(norm == nullptr ? "1" : "2", activation);
}

torch::Tensor Conv2dNormActivationImpl::forward(const torch::Tensor& x) {
  detail::check_input("Conv2dNormActivation", x, options.in_channels(), detail::Batch::kRequired,
                      conv->weight);
  torch::Tensor y = conv(x);
  // LibTorch gives zeros, Python an error.
  TORCH_CHECK_VALUE(options.norm().kind != Norm::kInstanceNorm2d || y.size(2) * y.size(3) > 1,
                    "Conv2dNormActivation: expected more than one pixel for InstanceNorm2d, got ",
                    y.sizes());
  if (norm != nullptr) y = forward_child(*norm, y);
  return activation == nullptr ? y : forward_child(*activation, y);
}

StochasticDepthImpl::StochasticDepthImpl(double p, StochasticDepthMode mode) : p(p), mode(mode) {
  detail::check_probability("StochasticDepth", "p", p);
}

torch::Tensor StochasticDepthImpl::forward(const torch::Tensor& x) {
  if (!is_training() || p == 0) return x;
  std::vector<int64_t> size(static_cast<std::size_t>(x.dim()), 1);
  if (mode == StochasticDepthMode::kRow && !size.empty()) size[0] = x.size(0);
  const double survival = 1 - p;
  torch::Tensor noise = at::empty(size, x.options().requires_grad(false)).bernoulli_(survival);
  if (survival > 0) noise.div_(survival);
  return x * noise;
}

PermuteImpl::PermuteImpl(std::vector<int64_t> dims) : dims(std::move(dims)) {}

torch::Tensor PermuteImpl::forward(const torch::Tensor& x) {
  return x.permute(dims);
}

}  // namespace convkit

#include <convkit/conv.h>

#include "core/check.h"

#include <ATen/Context.h>
#include <ATen/ops/batch_norm.h>
#include <torch/nn/functional/conv.h>

#include <cmath>

namespace convkit {

using detail::checked;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;

Conv2d standard_conv2d(int64_t in_channels, int64_t out_channels) {
  return Conv2d(checked("standard_conv2d", Conv2dOptions(in_channels, out_channels, 3).padding(1)));
}

Conv2d strided_conv2d(int64_t in_channels, int64_t out_channels, int64_t stride) {
  return Conv2d(checked("strided_conv2d",
                        Conv2dOptions(in_channels, out_channels, 3).stride(stride).padding(1)));
}

Conv2d dilated_conv2d(int64_t in_channels, int64_t out_channels, int64_t dilation) {
  return Conv2d(
      checked("dilated_conv2d",
              Conv2dOptions(in_channels, out_channels, 3).padding(dilation).dilation(dilation)));
}

Conv2d depthwise_conv2d(int64_t channels) {
  return Conv2d(checked("depthwise_conv2d",
                        Conv2dOptions(channels, channels, 3).padding(1).groups(channels)));
}

Conv2d pointwise_conv2d(int64_t in_channels, int64_t out_channels) {
  return Conv2d(checked("pointwise_conv2d", Conv2dOptions(in_channels, out_channels, 1)));
}

namespace {

/// The convolution that the options of StdConv2d or ScaledStdConv2d stand for.
template <typename Options>
Conv2dOptions conv2d_options(const char* name, const Options& options) {
  detail::check_positive(name, "kernel_size", options.kernel_size());
  detail::check_positive(name, "stride", options.stride());
  detail::check_positive(name, "dilation", options.dilation());
  torch::ExpandingArray<2> padding(0);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const int64_t reach = options.dilation()->at(axis) * (options.kernel_size()->at(axis) - 1);
    (*padding)[axis] = (options.stride()->at(axis) - 1 + reach) / 2;
  }
  const auto result = checked(
      name, Conv2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
                .stride(options.stride())
                .padding(options.padding().value_or(padding))
                .dilation(options.dilation())
                .groups(options.groups())
                .bias(options.bias()));
  TORCH_CHECK_VALUE(options.in_channels() > options.groups() ||
                        *options.kernel_size() != *torch::ExpandingArray<2>(1),
                    name, ": expected filters of more than one number, got ",
                    options.in_channels() / options.groups(), " channel and kernel_size ",
                    options.kernel_size());
  detail::check_eps(name, options.eps());
  return result;
}

/// Gives each filter of `weight` the mean 0 and variance 1, times its `scale` where there is one.
torch::Tensor standardised(const torch::Tensor& weight, const torch::Tensor& scale, double eps) {
  return at::batch_norm(weight.reshape({1, weight.size(0), -1}), scale, {}, {}, {},
                        /*training=*/true, /*momentum=*/0, eps,
                        at::globalContext().userEnabledCuDNN())
      .reshape_as(weight);
}

torch::Tensor convolve(const torch::Tensor& x, const torch::Tensor& weight,
                       const torch::Tensor& bias, const Conv2dOptions& conv) {
  return torch::nn::functional::detail::conv2d(x, weight, bias, conv.stride(), conv.padding(),
                                               conv.dilation(), conv.groups());
}

template <typename Options>
void print(std::ostream& stream, const std::string& name, const Options& options) {
  stream << name << '(' << options.in_channels() << ", " << options.out_channels()
         << ", kernel_size=" << options.kernel_size() << ", stride=" << options.stride();
  if (options.groups() != 1) stream << ", groups=" << options.groups();
  stream << ", bias=" << (options.bias() ? "true" : "false") << ", eps=" << options.eps() << ')';
}

}  // namespace

StdConv2dImpl::StdConv2dImpl(StdConv2dOptions conv_options) : options(std::move(conv_options)) {
  StdConv2dImpl::reset();
}

void StdConv2dImpl::reset() {
  conv_options_ = conv2d_options("StdConv2d", options);
  const Conv2d conv(conv_options_);
  weight = register_parameter("weight", conv->weight);
  bias = register_parameter("bias", conv->bias, /*requires_grad=*/options.bias());
}

torch::Tensor StdConv2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("StdConv2d", x, options.in_channels(), detail::Batch::kOptional, weight);
  return convolve(x, standardised(weight, {}, options.eps()), bias, conv_options_);
}

void StdConv2dImpl::pretty_print(std::ostream& stream) const {
  print(stream, name(), options);
}

ScaledStdConv2dImpl::ScaledStdConv2dImpl(ScaledStdConv2dOptions conv_options)
    : options(std::move(conv_options)) {
  ScaledStdConv2dImpl::reset();
}

void ScaledStdConv2dImpl::reset() {
  conv_options_ = conv2d_options("ScaledStdConv2d", options);
  const Conv2d conv(conv_options_);
  weight = register_parameter("weight", conv->weight);
  bias = register_parameter("bias", conv->bias, /*requires_grad=*/options.bias());
  gain =
      register_parameter("gain", at::full({options.out_channels(), 1, 1, 1}, options.gain_init()));
}

torch::Tensor ScaledStdConv2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("ScaledStdConv2d", x, options.in_channels(), detail::Batch::kOptional,
                      weight);
  const double numbers = static_cast<double>(weight[0].numel());
  const double scale = options.gamma() * std::pow(numbers, -0.5);
  return convolve(x, standardised(weight, (gain * scale).view(-1), options.eps()), bias,
                  conv_options_);
}

void ScaledStdConv2dImpl::pretty_print(std::ostream& stream) const {
  print(stream, name(), options);
}

}  // namespace convkit

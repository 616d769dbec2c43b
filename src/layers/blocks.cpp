#include <convkit/blocks.h>

#include "core/check.h"
#include "layers/norm.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/max_pool3d.h>
#include <c10/util/accumulate.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <string>

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

namespace {

/// Makes the layers of a Conv2dNormActivation or Conv3dNormActivation.
template <std::size_t D, typename Conv, typename Module>
void reset_layers(const char* name, Module& module, Conv& conv) {
  const ConvNormActivationOptions<D>& options = module.options;
  torch::ExpandingArray<D> around = 0;
  for (std::size_t i = 0; i < D; ++i) {
    around->at(i) = (options.kernel_size()->at(i) - 1) / 2 * options.dilation()->at(i);
  }
  const auto conv_options =
      nn::ConvOptions<D>(options.in_channels(), options.out_channels(), options.kernel_size())
          .stride(options.stride())
          .padding(options.padding().value_or(around))
          .dilation(options.dilation())
          .groups(options.groups())
          .bias(options.bias().value_or(options.norm().kind == Norm::kNone));
  conv = module.register_module("0", Conv(detail::checked(name, conv_options)));
  module.norm = detail::norm_of(name, options.norm(), options.out_channels());
  if (module.norm != nullptr) module.register_module("1", module.norm);
  module.activation = make_activation(options.activation(), options.inplace());
  if (module.activation != nullptr) {
    module.register_module(module.norm == nullptr ? "1" : "2", module.activation);
  }
}

template <typename Module>
torch::Tensor forward_layers(const char* name, Module& module, const torch::Tensor& x) {
  torch::Tensor y = module.conv(x);
  const Norm::Kind kind = module.options.norm().kind;
  const bool is_instance_norm = kind == Norm::kInstanceNorm2d || kind == Norm::kInstanceNorm3d;
  // LibTorch gives zeros, Python an error.
  TORCH_CHECK_VALUE(!is_instance_norm || c10::multiply_integers(y.sizes().slice(2)) > 1, name,
                    ": expected more than one pixel for ",
                    kind == Norm::kInstanceNorm2d ? "InstanceNorm2d" : "InstanceNorm3d", ", got ",
                    y.sizes());
  if (module.norm != nullptr) y = forward_child(*module.norm, y);
  return module.activation == nullptr ? y : forward_child(*module.activation, y);
}

}  // namespace

void Conv2dNormActivationImpl::reset() {
  reset_layers<2>("Conv2dNormActivation", *this, conv);
}

torch::Tensor Conv2dNormActivationImpl::forward(const torch::Tensor& x) {
  detail::check_input("Conv2dNormActivation", x, options.in_channels(), detail::Batch::kRequired,
                      conv->weight);
  return forward_layers("Conv2dNormActivation", *this, x);
}

Conv3dNormActivationImpl::Conv3dNormActivationImpl(Conv3dNormActivationOptions block_options)
    : options(std::move(block_options)) {
  Conv3dNormActivationImpl::reset();
}

void Conv3dNormActivationImpl::reset() {
  reset_layers<3>("Conv3dNormActivation", *this, conv);
}

torch::Tensor Conv3dNormActivationImpl::forward(const torch::Tensor& x) {
  detail::check_video("Conv3dNormActivation", x, options.in_channels(), conv->weight);
  return forward_layers("Conv3dNormActivation", *this, x);
}

MLPImpl::MLPImpl(MLPOptions block_options) : options(std::move(block_options)) {
  MLPImpl::reset();
}

void MLPImpl::reset() {
  detail::check_positive("MLP", "in_channels", options.in_channels());
  TORCH_CHECK_VALUE(!options.hidden_channels().empty(),
                    "MLP: expected at least one of hidden_channels, got none");
  for (const int64_t channels : options.hidden_channels()) {
    detail::check_positive("MLP", "hidden_channels", channels);
  }
  TORCH_CHECK_VALUE(options.activation().kind != Activation::kNone,
                    "MLP: expected an activation, got kNone");
  detail::check_probability("MLP", "dropout", options.dropout());
  std::size_t count = 0;
  const auto append = [&](std::shared_ptr<nn::Module> layer) {
    register_module(std::to_string(count++), std::move(layer));
  };
  int64_t channels = options.in_channels();
  for (std::size_t i = 0; i < options.hidden_channels().size(); ++i) {
    const int64_t hidden = options.hidden_channels()[i];
    append(nn::Linear(nn::LinearOptions(channels, hidden).bias(options.bias())).ptr());
    if (i + 1 < options.hidden_channels().size()) {
      if (auto norm = detail::norm_of("MLP", options.norm(), hidden)) append(std::move(norm));
      append(make_activation(options.activation(), options.inplace()));
    }
    append(nn::Dropout(nn::DropoutOptions(options.dropout()).inplace(options.inplace())).ptr());
    channels = hidden;
  }
}

torch::Tensor MLPImpl::forward(const torch::Tensor& x) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() >= 1 && x.size(-1) == options.in_channels(),
                    "MLP: expected input [..., ", options.in_channels(), "], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  const auto layers = children();
  detail::check_type("MLP", x, layers[0]->as<nn::Linear>()->weight);
  torch::Tensor y = x;
  for (const auto& layer : layers) y = forward_child(*layer, y);
  return y;
}

LayerScale2dImpl::LayerScale2dImpl(int64_t dim, double init_values, bool inplace)
    : dim(dim), init_values(init_values), inplace(inplace) {
  LayerScale2dImpl::reset();
}

void LayerScale2dImpl::reset() {
  detail::check_positive("LayerScale2d", "dim", dim);
  gamma = register_parameter("gamma", at::full({dim}, init_values, at::kFloat));
}

torch::Tensor LayerScale2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("LayerScale2d", x, dim, detail::Batch::kRequired, gamma);
  const torch::Tensor scale = gamma.view({1, -1, 1, 1});
  return inplace ? x.mul_(scale) : x * scale;
}

namespace {

template <typename Module>
void check_drop_block(const char* name, const Module& module) {
  detail::check_probability(name, "p", module.p);
  detail::check_positive(name, "block_size", module.block_size);
  detail::check_eps(name, module.eps);
}

/// Of a DropBlock2d or DropBlock3d in training.
template <typename Module>
torch::Tensor drop_blocks(const char* name, const Module& module, const torch::Tensor& x) {
  const torch::IntArrayRef image = x.sizes().slice(2);
  const int64_t block_size =
      std::min(module.block_size, *std::min_element(image.begin(), image.end()));
  TORCH_CHECK_VALUE(block_size % 2 == 1, name, ": expected an odd block_size, got ", block_size,
                    " for an input ", x.sizes());
  std::vector<int64_t> starts = x.sizes().vec();  // where a block can begin
  double gamma = module.p;                        // how often one does, in Python's order
  double places = 1;
  for (std::size_t i = 2; i < starts.size(); ++i) {
    gamma *= static_cast<double>(starts[i]);
    starts[i] -= block_size - 1;
    places *= static_cast<double>(block_size * starts[i]);
  }
  torch::Tensor noise =
      at::empty(starts, x.options().requires_grad(false)).bernoulli_(gamma / places);
  noise = at::constant_pad_nd(noise, std::vector<int64_t>(2 * image.size(), block_size / 2));
  noise = image.size() == 2 ? at::max_pool2d(noise, block_size, 1, block_size / 2)
                            : at::max_pool3d(noise, block_size, 1, block_size / 2);
  noise = 1 - noise;
  // Python divides a number by a tensor in this way.
  const torch::Tensor scale = (noise.sum() + module.eps).reciprocal() * noise.numel();
  return module.inplace ? x.mul_(noise).mul_(scale) : x * noise * scale;
}

}  // namespace

DropBlock2dImpl::DropBlock2dImpl(double p, int64_t block_size, bool inplace, double eps)
    : p(p), block_size(block_size), inplace(inplace), eps(eps) {
  check_drop_block("DropBlock2d", *this);
}

torch::Tensor DropBlock2dImpl::forward(const torch::Tensor& x) {
  detail::check_image("DropBlock2d", x, detail::Batch::kRequired);
  return is_training() && p > 0 ? drop_blocks("DropBlock2d", *this, x) : x;
}

DropBlock3dImpl::DropBlock3dImpl(double p, int64_t block_size, bool inplace, double eps)
    : p(p), block_size(block_size), inplace(inplace), eps(eps) {
  check_drop_block("DropBlock3d", *this);
}

torch::Tensor DropBlock3dImpl::forward(const torch::Tensor& x) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() == 5,
                    "DropBlock3d: expected input [N, C, T, H, W], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  return is_training() && p > 0 ? drop_blocks("DropBlock3d", *this, x) : x;
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

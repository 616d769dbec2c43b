#include <convkit/norm.h>

#include "core/check.h"
#include "layers/norm.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/functional/batchnorm.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/normalization.h>

namespace convkit {

namespace nn = torch::nn;

LayerNorm2dImpl::LayerNorm2dImpl(int64_t channels, double eps) : channels(channels), eps(eps) {
  LayerNorm2dImpl::reset();
}

void LayerNorm2dImpl::reset() {
  detail::check_positive("LayerNorm2d", "channels", channels);
  detail::check_eps("LayerNorm2d", eps);
  weight = register_parameter("weight", at::ones({channels}));
  bias = register_parameter("bias", at::zeros({channels}));
}

torch::Tensor LayerNorm2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("LayerNorm2d", x, channels, detail::Batch::kRequired, weight);
  return at::layer_norm(x.permute({0, 2, 3, 1}), {channels}, weight, bias, eps)
      .permute({0, 3, 1, 2});
}

FrozenBatchNorm2dImpl::FrozenBatchNorm2dImpl(int64_t num_features, double eps)
    : num_features(num_features), eps(eps) {
  FrozenBatchNorm2dImpl::reset();
}

void FrozenBatchNorm2dImpl::reset() {
  detail::check_positive("FrozenBatchNorm2d", "num_features", num_features);
  detail::check_eps("FrozenBatchNorm2d", eps);
  weight = register_buffer("weight", at::ones({num_features}));
  bias = register_buffer("bias", at::zeros({num_features}));
  running_mean = register_buffer("running_mean", at::zeros({num_features}));
  running_var = register_buffer("running_var", at::ones({num_features}));
}

torch::Tensor FrozenBatchNorm2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("FrozenBatchNorm2d", x, num_features, detail::Batch::kRequired, weight);
  const auto along_channels = [](const torch::Tensor& t) { return t.reshape({1, -1, 1, 1}); };
  const torch::Tensor scale = along_channels(weight) * (along_channels(running_var) + eps).rsqrt();
  return x * scale + (along_channels(bias) - along_channels(running_mean) * scale);
}

std::string FrozenBatchNorm2dImpl::current_key(const std::string& key) const {
  return key == "num_batches_tracked" ? "" : key;
}

GlobalResponseNormImpl::GlobalResponseNormImpl(int64_t dim, double eps, bool channels_last)
    : dim(dim), eps(eps), channels_last(channels_last) {
  GlobalResponseNormImpl::reset();
}

void GlobalResponseNormImpl::reset() {
  detail::check_positive("GlobalResponseNorm", "dim", dim);
  detail::check_eps("GlobalResponseNorm", eps);
  weight = register_parameter("weight", at::zeros({dim}));
  bias = register_parameter("bias", at::zeros({dim}));
}

torch::Tensor GlobalResponseNormImpl::forward(const torch::Tensor& x) {
  const int64_t channel_dim = channels_last ? -1 : 1;
  TORCH_CHECK_VALUE(
      x.defined() && x.dim() == 4 && x.size(channel_dim) == dim,
      "GlobalResponseNorm: expected input ",
      channels_last ? c10::str("[N, H, W, ", dim, "]") : c10::str("[N, ", dim, ", H, W]"), ", got ",
      x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  const std::vector<int64_t> spatial =
      channels_last ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{2, 3};
  detail::check_pixels("GlobalResponseNorm", x, spatial, weight);
  const std::vector<int64_t> shape =
      channels_last ? std::vector<int64_t>{1, 1, 1, -1} : std::vector<int64_t>{1, -1, 1, 1};
  const torch::Tensor g = x.norm(2, spatial, /*keepdim=*/true);
  const torch::Tensor n = g / (g.mean({channel_dim}, /*keepdim=*/true) + eps);
  return x + at::addcmul(bias.view(shape), weight.view(shape), x * n);
}

BatchNormAct2dImpl::BatchNormAct2dImpl(BatchNormAct2dOptions norm_options)
    : options(std::move(norm_options)) {
  BatchNormAct2dImpl::reset();
}

void BatchNormAct2dImpl::reset() {
  detail::check_positive("BatchNormAct2d", "num_features", options.num_features());
  detail::check_eps("BatchNormAct2d", options.eps());
  weight = register_parameter("weight", at::ones({options.num_features()}));
  bias = register_parameter("bias", at::zeros({options.num_features()}));
  running_mean = register_buffer("running_mean", at::zeros({options.num_features()}));
  running_var = register_buffer("running_var", at::ones({options.num_features()}));
  num_batches_tracked = register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
  act = options.apply_act() ? make_activation(options.act_layer(), options.inplace()) : nullptr;
  if (act != nullptr) register_module("act", act);
}

torch::Tensor BatchNormAct2dImpl::forward(const torch::Tensor& x) {
  detail::check_input("BatchNormAct2d", x, options.num_features(), detail::Batch::kRequired,
                      weight);
  if (is_training()) num_batches_tracked.add_(1);
  const auto norm_options = nn::functional::BatchNormFuncOptions()
                                .weight(weight)
                                .bias(bias)
                                .training(is_training())
                                .momentum(options.momentum())
                                .eps(options.eps());
  const torch::Tensor y = nn::functional::batch_norm(x, running_mean, running_var, norm_options);
  return act == nullptr ? y : forward_child(*act, y);
}

std::shared_ptr<nn::Module> make_norm(const Norm& norm, int64_t channels) {
  return detail::norm_of("make_norm", norm, channels);
}

std::shared_ptr<nn::Module> detail::norm_of(const char* module, const Norm& norm,
                                            int64_t channels) {
  detail::check_positive(module, "channels", channels);
  if (norm.kind != Norm::kNone) detail::check_eps(module, norm.eps);
  switch (norm.kind) {
    case Norm::kNone:
      return nullptr;
    case Norm::kBatchNorm2d:
      return nn::BatchNorm2d(nn::BatchNorm2dOptions(channels).eps(norm.eps).momentum(norm.momentum))
          .ptr();
    case Norm::kGroupNorm:
      detail::check_positive(module, "groups", norm.groups);
      TORCH_CHECK_VALUE(channels % norm.groups == 0, module,
                        ": expected channels divisible by groups ", norm.groups, ", got ",
                        channels);
      return nn::GroupNorm(nn::GroupNormOptions(norm.groups, channels).eps(norm.eps)).ptr();
    case Norm::kInstanceNorm2d:
      return nn::InstanceNorm2d(nn::InstanceNorm2dOptions(channels).eps(norm.eps)).ptr();
    case Norm::kLayerNorm2d:
      return LayerNorm2d(channels, norm.eps).ptr();
    case Norm::kFrozenBatchNorm2d:
      return FrozenBatchNorm2d(channels, norm.eps).ptr();
    case Norm::kLayerNorm:
      return nn::LayerNorm(nn::LayerNormOptions({channels}).eps(norm.eps)).ptr();
    case Norm::kBatchNorm1d:
      return nn::BatchNorm1d(nn::BatchNorm1dOptions(channels).eps(norm.eps).momentum(norm.momentum))
          .ptr();
    case Norm::kBatchNorm3d:
      return nn::BatchNorm3d(nn::BatchNorm3dOptions(channels).eps(norm.eps).momentum(norm.momentum))
          .ptr();
    case Norm::kInstanceNorm3d:
      return nn::InstanceNorm3d(nn::InstanceNorm3dOptions(channels).eps(norm.eps)).ptr();
  }
  TORCH_CHECK_VALUE(false, module, ": expected one of Norm's kinds, got ",
                    static_cast<int>(norm.kind));
}

}  // namespace convkit

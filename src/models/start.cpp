#include "models/start.h"

#include <convkit/init.h>

#include "core/check.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

namespace convkit::models {

namespace nn = torch::nn;

namespace detail {

void start_convolutions(const nn::Module& network) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    const auto* conv = module->as<nn::Conv2d>();
    if (conv == nullptr) continue;
    nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut, torch::kReLU);
    if (conv->bias.defined()) nn::init::zeros_(conv->bias);
  }
}

void start_linears(const nn::Module& network, const std::function<void(nn::LinearImpl&)>& start) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    auto* linear = module->as<nn::Linear>();
    if (linear == nullptr) continue;
    start(*linear);
    nn::init::zeros_(linear->bias);
  }
}

void start_truncated(const nn::Module& network,
                     const std::function<double(const nn::Module& layer)>& std) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    if (auto* conv = module->as<nn::Conv2d>()) trunc_normal_(conv->weight, 0, std(*module));
    if (auto* linear = module->as<nn::Linear>()) trunc_normal_(linear->weight, 0, std(*module));
  }
}

nn::ReLU relu() {
  return nn::ReLU(nn::ReLUOptions(/*inplace=*/true));
}

nn::Conv2d conv1x1(int64_t in_channels, int64_t out_channels) {
  return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).bias(false));
}

Sequential mean_pool() {
  return Sequential{{"pool", nn::AdaptiveAvgPool2d(1)},
                    {"flatten", nn::Flatten(nn::FlattenOptions().start_dim(1))}};
}

void check_num_classes(const char* network, int64_t num_classes) {
  convkit::detail::check_positive(network, "num_classes", num_classes);
}

void check_multiplier(const char* network, const char* option, double value) {
  TORCH_CHECK_VALUE(value > 0 && value < 1e6, network, ": expected 0 < ", option, " < 10^6, got ",
                    value);
}

void check_stride(const char* block, int64_t stride) {
  TORCH_CHECK_VALUE(stride == 1 || stride == 2, block, ": expected stride 1 or 2, got ", stride);
}

void check_norm_layer(const char* module, const Norm& norm_layer) {
  TORCH_CHECK_VALUE(norm_layer.kind != Norm::kNone, module, ": expected a norm_layer, got kNone");
  convkit::detail::check_eps(module, norm_layer.eps);
}

}  // namespace detail
}  // namespace convkit::models

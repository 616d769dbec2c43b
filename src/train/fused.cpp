#include "train/fused.h"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_fused_adagrad.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <array>
#include <map>
#include <optional>
#include <tuple>

namespace convkit::optim::detail {
namespace {

using torch::Tensor;

/// What a kernel takes: parameters of one device and type, with their gradients and states.
struct Batch {
  std::vector<Tensor> params;
  std::vector<Tensor> grads;
  std::array<std::vector<Tensor>, 4> states;
};

/// Parameters together that one call may take: of one device, type and, where it matters, history.
template <typename Kind>
auto batches(const std::vector<ActiveParam>& active, const Kind& kind) {
  std::map<std::tuple<c10::DeviceType, int, torch::Dtype, bool>, Batch> result;
  for (const ActiveParam& p : active) {
    const torch::Device device = p.param.device();
    Batch& batch = result[{device.type(), device.index(), p.param.scalar_type(), kind(p)}];
    batch.params.push_back(p.param);
    batch.grads.push_back(p.grad);
    for (std::size_t i = 0; i < batch.states.size(); ++i) {
      if (p.state->tensors[i].defined()) batch.states[i].push_back(p.state->tensors[i]);
    }
  }
  return result;
}

using FusedAdam = void(at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                       at::TensorList, at::TensorList, double, double, double, double, double, bool,
                       bool, const std::optional<Tensor>&, const std::optional<Tensor>&);

bool any(const ActiveParam&) {
  return false;
}

Tensor first_step(const Tensor& param) {
  return at::zeros({}, torch::TensorOptions(torch::kFloat).device(param.device()));
}

}  // namespace

void fused_step(const SGDOptions& o, const std::vector<ActiveParam>& active) {
  std::map<const OptimizerState*, bool> fresh;
  if (o.momentum != 0) {
    for (const ActiveParam& p : active) {
      fresh[p.state] = p.state->empty();
      if (p.state->empty()) p.state->tensors[0] = at::empty_like(p.grad);
    }
  }
  const auto is_fresh = [&](const ActiveParam& p) { return o.momentum != 0 && fresh.at(p.state); };
  for (auto& [key, batch] : batches(active, is_fresh)) {
    at::_fused_sgd_(batch.params, batch.grads,
                    o.momentum != 0 ? batch.states[0] : std::vector<Tensor>(), o.weight_decay,
                    o.momentum, o.lr, o.dampening, o.nesterov, o.maximize, std::get<3>(key));
  }
}

void fused_step(const AdamOptions& o, const std::vector<ActiveParam>& active) {
  for (const ActiveParam& p : active) {
    if (!p.state->empty()) continue;
    p.state->tensors = {first_step(p.param), at::zeros_like(p.param), at::zeros_like(p.param),
                        o.amsgrad ? at::zeros_like(p.param) : Tensor()};
  }
  for (auto& [key, batch] : batches(active, any)) {
    at::_foreach_add_(batch.states[0], 1);
    const auto& kernel = o.decoupled_weight_decay ? static_cast<FusedAdam*>(at::_fused_adamw_)
                                                  : static_cast<FusedAdam*>(at::_fused_adam_);
    kernel(batch.params, batch.grads, batch.states[1], batch.states[2],
           o.amsgrad ? batch.states[3] : std::vector<Tensor>(), batch.states[0], o.lr, o.betas[0],
           o.betas[1], o.weight_decay, o.eps, o.amsgrad, o.maximize, {}, {});
  }
}

void fused_step(const AdagradOptions& o, const std::vector<ActiveParam>& active) {
  for (auto& [key, batch] : batches(active, any)) {
    at::_foreach_add_(batch.states[0], 1);
    at::_fused_adagrad_(batch.params, batch.grads, batch.states[1], batch.states[0], o.lr,
                        o.lr_decay, o.weight_decay, o.eps, o.maximize);
  }
}

}  // namespace convkit::optim::detail

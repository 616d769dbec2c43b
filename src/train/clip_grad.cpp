#include <convkit/clip_grad.h>

#include "core/wrapped.h"

#include <ATen/native/ForeachUtils.h>
#include <ATen/ops/_foreach_clamp_max.h>
#include <ATen/ops/_foreach_clamp_min.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>

#include <set>

namespace convkit::optim {
namespace {

using torch::Tensor;

/// The gradients that there are, each once.
std::vector<Tensor> gradients(const std::vector<Tensor>& params) {
  std::vector<Tensor> result;
  std::set<const void*> known;
  for (const Tensor& param : params) {
    if (!param.grad().defined() || !known.insert(param.unsafeGetTensorImpl()).second) continue;
    result.push_back(param.grad());
  }
  return result;
}

/// The tensors of each device and type, in the order in which Python has these.
std::vector<std::vector<Tensor>> grouped(const std::vector<Tensor>& tensors) {
  std::vector<std::vector<Tensor>> result;
  if (tensors.empty()) return result;
  const at::native::nested_optional_tensorvec_t nested = {{tensors.begin(), tensors.end()}};
  for (const auto& [key, group] :
       at::native::_group_tensors_by_first_tensors_device_and_dtype(nested, false)) {
    auto& same = result.emplace_back();
    for (const auto& tensor : group.first[0]) same.push_back(*tensor);
  }
  return result;
}

}  // namespace

Tensor get_total_norm(const std::vector<Tensor>& tensors, double norm_type,
                      bool error_if_nonfinite) {
  const torch::NoGradGuard no_grad;
  if (tensors.empty()) return at::scalar_tensor(0.0, torch::dtype(torch::kFloat));
  std::vector<Tensor> norms;
  for (const auto& group : grouped(tensors)) {
    for (const Tensor& norm : at::_foreach_norm(group, norm_type)) {
      norms.push_back(norm.to(tensors[0].device()));
    }
  }
  const Tensor total = at::linalg_vector_norm(at::stack(norms), norm_type);
  TORCH_CHECK(!error_if_nonfinite || total.isfinite().item<bool>(),
              "get_total_norm: expected a finite norm of order ", norm_type, ", got ",
              total.item<double>());
  return total;
}

Tensor clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, double norm_type,
                       bool error_if_nonfinite) {
  const torch::NoGradGuard no_grad;
  const std::vector<Tensor> grads = gradients(params);
  const Tensor total = get_total_norm(grads, norm_type, error_if_nonfinite);
  // Python divides a number by a tensor as the number times its reciprocal.
  const Tensor factor =
      convkit::detail::multiply_((total + 1e-6).reciprocal_(), max_norm).clamp_max_(1.0);
  for (const auto& group : grouped(grads)) {
    at::_foreach_mul_(group, factor.to(group[0].device()));
  }
  return total;
}

void clip_grad_value_(const std::vector<Tensor>& params, double clip_value) {
  const torch::NoGradGuard no_grad;
  for (const auto& group : grouped(gradients(params))) {
    at::_foreach_clamp_min_(group, -clip_value);
    at::_foreach_clamp_max_(group, clip_value);
  }
}

}  // namespace convkit::optim

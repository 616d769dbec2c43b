#include <convkit/sync_batch_norm.h>

#include "core/check.h"
#include "train/sync_batch_norm.h"

#include <torch/nn/functional/batchnorm.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

namespace convkit {
namespace {

constexpr const char* kName = "SyncBatchNorm";

}  // namespace

SyncBatchNormImpl::SyncBatchNormImpl(torch::nn::BatchNormOptions norm_options)
    : options(std::move(norm_options)) {
  SyncBatchNormImpl::reset();
}

void SyncBatchNormImpl::reset() {
  detail::check_positive(kName, "num_features", options.num_features());
  detail::check_eps(kName, options.eps());
  const int64_t features = options.num_features();
  weight = register_parameter("weight", options.affine() ? at::ones({features}) : torch::Tensor());
  bias = register_parameter("bias", options.affine() ? at::zeros({features}) : torch::Tensor());
  if (!options.track_running_stats()) return;
  running_mean = register_buffer("running_mean", at::zeros({features}));
  running_var = register_buffer("running_var", at::ones({features}));
  num_batches_tracked = register_buffer("num_batches_tracked", at::zeros({}, at::kLong));
}

void SyncBatchNormImpl::reset_running_stats() {
  if (!options.track_running_stats()) return;
  running_mean.zero_();
  running_var.fill_(1);
  num_batches_tracked.zero_();
}

torch::Tensor SyncBatchNormImpl::forward(const torch::Tensor& x) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() >= 2 && x.size(1) == options.num_features(), kName,
                    ": expected input [N, ", options.num_features(), ", ...], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  const torch::Tensor& kept = weight.defined() ? weight : running_mean;
  if (kept.defined()) detail::check_type(kName, x, kept);
  TORCH_CHECK(!is_training() || detail::process_groups == 0, kName,
              ": expected no training by several processes on CPUs: Python has it on GPUs alone");
  double momentum = options.momentum().value_or(0);
  if (is_training() && options.track_running_stats()) {
    num_batches_tracked.add_(1);
    if (!options.momentum()) momentum = 1 / num_batches_tracked.item<double>();
  }
  const bool of_batch = is_training() || !options.track_running_stats();
  return torch::nn::functional::batch_norm(x, running_mean, running_var,
                                           torch::nn::functional::BatchNormFuncOptions()
                                               .weight(weight)
                                               .bias(bias)
                                               .training(of_batch)
                                               .momentum(momentum)
                                               .eps(options.eps()));
}

}  // namespace convkit

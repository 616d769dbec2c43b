#include "compile/key.h"

#include "core/strides.h"

#include <ATen/Parallel.h>

namespace convkit::detail {

PlanKey::PlanKey(const Tensors& tensors) : threads_(at::get_num_threads()) {
  for (const torch::Tensor& tensor : tensors) {
    inputs_.push_back(
        {tensor.sizes().vec(), tensor.strides().vec(), tensor.scalar_type(), tensor.device()});
  }
}

bool PlanKey::fits(const Tensors& tensors) const {
  if (tensors.size() != inputs_.size() || threads_ != at::get_num_threads()) return false;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const torch::Tensor& tensor = tensors[i];
    const Input& input = inputs_[i];
    if (tensor.sizes() != input.sizes || tensor.strides() != input.strides ||
        tensor.scalar_type() != input.dtype || tensor.device() != input.device) {
      return false;
    }
  }
  return true;
}

void PlanKey::explain(PlanExplanation& plan) const {
  plan.threads = threads_;
  for (const Input& input : inputs_) {
    const bool channels_last =
        input.sizes.size() == 4 &&
        same_layout(input.sizes, input.strides, channels_last_strides(input.sizes)) &&
        !same_layout(input.sizes, input.strides, row_strides(input.sizes));
    plan.inputs.push_back(
        {input.sizes, channels_last, c10::toString(input.dtype), input.device.str()});
  }
}

}  // namespace convkit::detail

#include "watch/scopes.h"

#include "core/strides.h"

#include <torch/types.h>

#include <exception>

namespace convkit::detail {

EvalMode::EvalMode(torch::nn::Module& module) {
  modes_.emplace_back(&module, module.is_training());
  for (const auto& part : module.named_modules("", /*include_self=*/false)) {
    modes_.emplace_back(part.value().get(), part.value()->is_training());
  }
  module.eval();
}

EvalMode::~EvalMode() {
  // train() of a module sets its children's modes too: the parents go first, and a part that is as
  // it was costs nothing.
  for (const auto& [module, training] : modes_) {
    if (module->is_training() != training) module->train(training);
  }
}

namespace {

/// The bytes of a buffer from its first element to its last one: an expanded one has few, and NaN is not equal
/// to itself.
torch::Tensor memory_of(const torch::Tensor& buffer) {
  const bool plain = buffer.layout() == torch::kStrided && !buffer.is_quantized() &&
                     !buffer.is_conj() && !buffer.is_neg();
  if (!plain) return buffer;
  return buffer.as_strided({extent(buffer.sizes(), buffer.strides())}, {1}).view(torch::kByte);
}

bool is_view_of_same(const torch::Tensor& a, const torch::Tensor& b) {
  const bool alike = a.sizes() == b.sizes() && a.dtype() == b.dtype() && a.device() == b.device();
  return alike && (!a.has_storage() || a.is_alias_of(b));
}

}  // namespace

KeepBuffers::KeepBuffers(const torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const torch::Tensor& buffer : module.buffers()) {
    if (!buffer.defined()) continue;
    const torch::Tensor before = buffer.detach();
    kept_.push_back({buffer, before, memory_of(before).clone()});
  }
}

KeepBuffers::~KeepBuffers() {
  const torch::NoGradGuard no_grad;
  for (Kept& kept : kept_) {
    try {
      const torch::Tensor memory = memory_of(kept.before);
      if (!torch::equal(memory, kept.copy)) memory.copy_(kept.copy);
      if (!is_view_of_same(kept.buffer, kept.before)) kept.buffer.set_data(kept.before);
    } catch (const std::exception&) {
      // A buffer that cannot be written to stays as it is: that is no reason to end the program.
    }
  }
}

}  // namespace convkit::detail

#include "watch/scopes.h"

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

KeepBuffers::KeepBuffers(const torch::nn::Module& module) {
  for (const torch::Tensor& buffer : module.buffers()) {
    if (buffer.defined()) copies_.emplace_back(buffer, buffer.clone());
  }
}

KeepBuffers::~KeepBuffers() {
  const torch::NoGradGuard no_grad;
  for (auto& [buffer, copy] : copies_) {
    try {
      const bool alike = buffer.sizes() == copy.sizes() && buffer.dtype() == copy.dtype() &&
                         buffer.device() == copy.device();
      if (!alike) {
        buffer.set_data(copy);
      } else if (!torch::equal(buffer, copy)) {
        buffer.copy_(copy);
      }
    } catch (const std::exception&) {
      // A buffer that cannot be written to stays as it is: that is no reason to end the program.
    }
  }
}

}  // namespace convkit::detail

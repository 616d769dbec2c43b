#pragma once

#include "compile/engines/engine.h"
#include "compile/tape/tape.h"

#include <torch/nn/module.h>

namespace convkit::detail {

/// Proves that a plan computes what the module does: it holds the plan to the module's results for other
/// inputs of the same sizes, types and layouts.
class Proof {
 public:
  /// Records the forward with `inputs` and with others. Throws c10::Error unless both give one program, and
  /// unless replaying it for the others gives the module's bits.
  Proof(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs);

  [[nodiscard]] const Tape& tape() const { return tape_; }

  /// Throws c10::Error where an engine's results differ from the module's by more than `tolerance`, in
  /// parts of the largest number of each result.
  void check(Engine& engine, double tolerance) const;

 private:
  Tensors others_;
  Tensors expected_;
  Tape tape_;
};

}  // namespace convkit::detail

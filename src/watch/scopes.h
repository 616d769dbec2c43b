#pragma once

#include <torch/nn/module.h>

#include <utility>
#include <vector>

/// Puts back what a forward must not change that is only watched.
namespace convkit::detail {

/// Sets a module to eval mode, and each part of it back to its own mode at the end of the scope.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& module);
  ~EvalMode();
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;  ///< parents before their children
};

/// Puts a module's buffers back at the end of the scope, whatever a forward writes to them, another
/// shape or type included.
class KeepBuffers {
 public:
  explicit KeepBuffers(const torch::nn::Module& module);
  ~KeepBuffers();
  KeepBuffers(const KeepBuffers&) = delete;
  KeepBuffers& operator=(const KeepBuffers&) = delete;

 private:
  struct Kept {
    torch::Tensor buffer;
    torch::Tensor before;  ///< as it was, with the same memory
    torch::Tensor copy;    ///< of that memory
  };
  std::vector<Kept> kept_;
};

}  // namespace convkit::detail

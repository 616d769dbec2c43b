#pragma once

#include <convkit/compare.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

/// What recording, comparing and summarising share.
namespace convkit::detail {

/// Each module in `module`, itself under "", once.
std::map<const torch::nn::Module*, std::string> module_paths(const torch::nn::Module& module);

/// Runs the module as it is, and gives the calls of all modules in it that can be seen.
std::vector<Recording::Call> record_calls(torch::nn::Module& module, const torch::Tensor& input);

/// As record.py has it: no two tensors that differ in one byte have the same.
int64_t hash(const torch::Tensor& tensor);

/// A copy with the same strides, which begins at a multiple of 64 bytes: from other addresses, and
/// from other layouts, kernels sum in another order.
torch::Tensor copy_with_strides(const torch::Tensor& tensor);

/// Sets a module to eval mode, and each part back to its own mode at the end of the scope.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& module);
  ~EvalMode();
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;
};

}  // namespace convkit::detail

#pragma once

#include <convkit/compare.h>

#include <vector>

/// Records the calls of modules, for record() and compare().
namespace convkit::detail {

/// Runs the module as it is, and gives the calls of all modules in it that can be seen: those that
/// convkit's holders, Sequential and forward_child() call, and torch::nn's with weights.
std::vector<Recording::Call> record_calls(torch::nn::Module& module, const torch::Tensor& input);

}  // namespace convkit::detail

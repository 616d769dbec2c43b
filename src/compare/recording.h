#pragma once

#include <convkit/compare.h>

#include <cstdint>
#include <vector>

/// What recording, comparing and summarising share.
namespace convkit::detail {

/// Runs the module as it is, and gives the calls of all modules in it that can be seen: those that
/// convkit's holders, Sequential and forward_child() call, and torch::nn's with weights.
std::vector<Recording::Call> record_calls(torch::nn::Module& module, const torch::Tensor& input);

/// As record.py has it: no two tensors that differ in one byte have the same.
int64_t hash(const torch::Tensor& tensor);

}  // namespace convkit::detail

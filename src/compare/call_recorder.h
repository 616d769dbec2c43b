#pragma once

#include <convkit/compare.h>

#include <vector>

/// Records the calls of modules, for record() and compare().
namespace convkit::detail {

/// Runs the module as it is, by `forward`, and gives the calls of all modules in it that can be seen:
/// those that convkit's holders, Sequential and forward_child() call, and torch::nn's with weights. The
/// last call is that of `forward`, as the module's own.
std::vector<Recording::Call> record_calls(torch::nn::Module& module, const ForwardFunction& forward,
                                          const std::vector<torch::Tensor>& inputs);

/// How to run a module that maps one tensor to one.
ForwardFunction forward_of(torch::nn::Module& module);

}  // namespace convkit::detail

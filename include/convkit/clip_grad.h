#pragma once

#include <convkit/module.h>

#include <torch/types.h>

#include <vector>

/// What is done to gradients between backward() and an optimizer's step().
///
///     loss.backward();
///     convkit::optim::clip_grad_norm_(net->parameters(), 1.0);
///     optimizer.step();
namespace convkit::optim {

/// The norm of all tensors together: of the vector that they would be.
///
/// Throws:  c10::Error for a norm that is infinite or NaN, with error_if_nonfinite
/// Source:  torch.nn.utils.get_total_norm
CONVKIT_API torch::Tensor get_total_norm(const std::vector<torch::Tensor>& tensors,
                                         double norm_type = 2, bool error_if_nonfinite = false);

/// Multiplies the gradients of the parameters by min(1, max_norm / (norm + 1e-6)), and gives their
/// norm. Parameters that are there twice count once, as in Python's module.parameters().
///
/// Throws:  c10::Error for a norm that is infinite or NaN, with error_if_nonfinite, before any
///          gradient is changed
/// Source:  torch.nn.utils.clip_grad_norm_
CONVKIT_API torch::Tensor clip_grad_norm_(const std::vector<torch::Tensor>& params, double max_norm,
                                          double norm_type = 2, bool error_if_nonfinite = false);

/// Cuts the gradients' values off at -clip_value and clip_value.
///
/// Source:  torch.nn.utils.clip_grad_value_
CONVKIT_API void clip_grad_value_(const std::vector<torch::Tensor>& params, double clip_value);

}  // namespace convkit::optim

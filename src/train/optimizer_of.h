#pragma once

#include <convkit/optim.h>

#include <memory>
#include <string>
#include <vector>

namespace convkit::optim::detail {

/// Makes the optimizer of this name, with options by their names in Python.
///
/// Throws:  c10::ValueError for a name or an option that is none of ours, and as the optimizer does
std::unique_ptr<Optimizer> make_optimizer(const std::string& name,
                                          std::vector<torch::Tensor> params, const Tree& options);

}  // namespace convkit::optim::detail

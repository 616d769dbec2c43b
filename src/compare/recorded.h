#pragma once

#include <convkit/compare.h>

#include <vector>

/// Gives a module what a recording has.
namespace convkit::detail {

/// Copies of recorded tensors, with their strides, which a module may write to.
std::vector<torch::Tensor> copied(const Recording::Tensors& recorded);

/// Loads copies of the recorded weights, in the recorded memory format.
void load_weights(torch::nn::Module& module, const Recording& recording);

}  // namespace convkit::detail

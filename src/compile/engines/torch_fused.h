#pragma once

#include "compile/plan/graph.h"

#include <functional>
#include <vector>

namespace convkit::detail {

/// Runs a convolution by one operator: it takes its inputs from the values, and puts its output there.
using FusedConvolution = std::function<void(std::vector<torch::Tensor>&)>;

/// LibTorch's fused operator for a convolution of a plan, made ready; empty where it has none that is
/// faster than its parts.
FusedConvolution fused_by_torch(const Graph& plan, const Convolution& convolution);

}  // namespace convkit::detail

#pragma once

#include "compile/plan/graph.h"

/// The multiply-accumulates of convolutions and matrix products, as explain() tells them.
namespace convkit::detail {

/// Counts those of a convolution or linear layer whose result has the sizes `output`.
int64_t macs_of(const Convolution& convolution, c10::IntArrayRef output);

/// Counts those of a step; 0 for other operators.
int64_t macs_of(const Graph& graph, const Step& step);

}  // namespace convkit::detail

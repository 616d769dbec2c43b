#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Makes the operators that are convolutions of images, or linear layers, with constant weights in float32
/// steps of their own: Convolution.
void find_convolutions(Graph& graph);

}  // namespace convkit::detail

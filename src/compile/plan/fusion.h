#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Takes into a convolution what follows it alone: batch norms and constants of a channel into its weights,
/// then an addition, then an activation.
void fuse_into_convolutions(Graph& graph);

}  // namespace convkit::detail

#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Makes batch norms, and sums and products with constants, steps of their own: x * scale + shift, with
/// numbers in double, which fuse_into_convolutions() rounds.
void find_affine(Graph& graph);

}  // namespace convkit::detail

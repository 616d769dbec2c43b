#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Takes paddings with a constant into the step after them that alone uses their result: zeros into a
/// convolution, and into a pooling what changes none of its results.
void take_in_paddings(Graph& graph);

}  // namespace convkit::detail

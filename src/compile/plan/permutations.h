#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Takes out the permutations of images [N, C, H, W] to [N, H, W, C] and back around norms, linear layers
/// and activations, as ConvNeXt has them: what is between them works on the images as they are.
void sink_permutations(Graph& graph);

}  // namespace convkit::detail

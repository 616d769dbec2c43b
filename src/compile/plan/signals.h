#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Makes convolutions of signals [N, C, L] ones of images [N, C, 1, L], one row high, together with the batch
/// norms, activations and sums between them.
void see_signals_as_images(Graph& graph);

}  // namespace convkit::detail

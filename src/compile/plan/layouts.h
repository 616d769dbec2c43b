#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Gives tensors the layout that was recorded, by a Copy, where something depends on it: memory that is
/// written in place or looked at by strides, from the step that makes it on; and what an operator takes
/// which is not known to work on any layout. All other tensors may then lie as it is fastest.
void keep_layouts(Graph& graph);

/// Finds the copies whose input no later step uses, which may then take its memory.
void find_last_copies(Graph& graph);

}  // namespace convkit::detail

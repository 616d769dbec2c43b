#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Whether the forward looks at the memory of what depends on its input (as_strided): then every tensor
/// has to lie as it was recorded.
bool counts_on_memory(const Graph& graph);

/// Finds the values that operators in place write. A storage of one tensor may be written: each of those
/// operators then makes a new value. With views of it the order of reads and writes matters, and all that
/// is in it stays as it was recorded; so does all that is written in an exact graph.
void find_overwritten(Graph& graph);

/// Makes operators in place, on values that nothing else shares, operators that give a new tensor, and
/// `view` a `reshape`, which works on any layout.
void make_pure(Graph& graph);

}  // namespace convkit::detail

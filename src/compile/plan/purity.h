#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// Finds the values whose memory counts, and stays as it was recorded: that which operators in place write, and
/// that which as_strided looks at. A storage of one tensor may be written: each of those operators then
/// makes a new value. With views of it the order of reads and writes matters. In an exact graph all that is
/// written counts.
void find_overwritten(Graph& graph);

/// Makes operators in place, on values that nothing else shares, operators that give a new tensor; and
/// `view` and its kin a `reshape`, which works on any layout, or an `expand`.
void make_pure(Graph& graph);

}  // namespace convkit::detail

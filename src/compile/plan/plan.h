#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// What an engine runs: a tape's operators, made fewer, on values that nothing overwrites. With `fuse`
/// all passes run. Without, and where the forward counts on how its tensors lie in memory, constants are
/// folded and what does nothing is removed, and the results have the module's own bits.
Graph make_plan(const Tape& tape, bool fuse);

}  // namespace convkit::detail

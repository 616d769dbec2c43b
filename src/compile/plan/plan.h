#pragma once

#include "compile/plan/constant_pool.h"
#include "compile/plan/graph.h"

namespace convkit::detail {

/// Makes the plan that an engine runs: the tape's operators, made fewer, on values that nothing overwrites.
/// With `fuse` all passes run. Without it the plan is exact: constants are folded, what does nothing is removed,
/// and the results have the module's own bits. Its constants are those of the pool.
Graph make_plan(const Tape& tape, bool fuse, ConstantPool& pool);

}  // namespace convkit::detail

#pragma once

#include "compile/onednn/lowering.h"

#include <vector>

namespace convkit::detail {

/// The alternative that computes a convolution in the shortest time, from where its input is now: `rule`,
/// unless one of its rivals takes less than 95 % of its time. Equal shapes are measured once in a process, and
/// what remains of the time that a plan may take for it is counted down.
Alternative fastest(Lowering& lowering, const Convolution& convolution, const Geometry& geometry,
                    Alternative rule, const std::vector<Alternative>& rivals);

}  // namespace convkit::detail

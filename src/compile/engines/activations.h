#pragma once

#include "compile/engines/lanes.h"

#include <cstdint>

namespace convkit::detail {

/// to[i] = activation(from[i]), on so many threads, which are those of on_threads(). Both may be the same.
void activate(const lanes::LaneActivation& activation, int threads, int64_t count,
              const float* from, float* to);

/// Whether oneDNN's kernels take longer for an activation of so many numbers, on this processor, than activate() does
/// after them, by measurement.
bool activates_faster(const lanes::LaneActivation& activation, int64_t count);

}  // namespace convkit::detail

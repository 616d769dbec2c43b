#pragma once

#include "compile/engines/lanes.h"

#include <cstdint>

namespace convkit::detail {

/// to[i] = activation(from[i]), on so many threads, which are those of on_threads(). Both may be the same.
void activate(const lanes::LaneActivation& activation, int threads, int64_t count,
              const float* from, float* to);

/// Whether activate(), after oneDNN's kernels, is better for so many numbers than what they have for it: faster on this
/// processor, by measurement, or nearer.
bool activates_better(const lanes::LaneActivation& activation, int64_t count);

}  // namespace convkit::detail

#include "convolution.h"

#include <algorithm>

namespace draw {

Walk walk(bool transposed, const Axis& axis) {
  Walk result{.steps = axis.output,
              .inner = axis.input,
              .before = axis.padding.before,
              .after = axis.padding.after,
              .kernel = axis.kernel,
              .stride = axis.stride,
              .dilation = axis.dilation};
  if (transposed) {
    result.steps = axis.input;
    result.inner = axis.output;
    const int64_t stamped = (axis.input - 1) * axis.stride + result.extent();
    result.after = std::max<int64_t>(stamped - result.before - result.inner, 0);
  }
  return result;
}

std::vector<int64_t> taps(const Walk& walk, int64_t step) {
  std::vector<int64_t> cells;
  for (int64_t tap = 0; tap < walk.kernel; ++tap) {
    const int64_t cell = step * walk.stride + tap * walk.dilation - walk.before;
    if (cell >= 0 && cell < walk.inner) cells.push_back(cell);
  }
  return cells;
}

std::vector<std::optional<Visits>> visits(const Walk& walk) {
  std::vector<std::optional<Visits>> result(static_cast<std::size_t>(walk.inner));
  for (int64_t step = 0; step < walk.steps; ++step) {
    for (const int64_t cell : taps(walk, step)) {
      auto& visit = result[static_cast<std::size_t>(cell)];
      visit = {.first = visit ? visit->first : step, .last = step};
    }
  }
  return result;
}

}  // namespace draw

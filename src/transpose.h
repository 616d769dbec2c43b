#pragma once

#include <cstdint>

namespace convkit::detail {

/// to[j * to_pitch + i] = from[i * columns + j]: an image [C, H * W] to [H * W, C] and back, on one
/// thread, where it is about twice as fast as oneDNN's reorder.
void transpose(const float* from, float* to, int64_t rows, int64_t columns, int64_t to_pitch);

}  // namespace convkit::detail

#pragma once

#include <cstdint>

namespace convkit::detail {

/// Matrices of float32 that follow one another: of each, to[j * to_pitch + i] = from[i * columns + j].
/// Images [C, H * W] become [H * W, C] and back, about twice as fast as by oneDNN's reorder.
struct Transposition {
  int64_t count = 1;
  int64_t rows = 0;  ///< of `from`
  int64_t columns = 0;
  int64_t to_pitch = 0;  ///< from one row of `to` to the next
};

void transpose(const Transposition& what, const float* from, float* to);

/// Whether transpose() uses all of OpenMP's threads, which are LibTorch's.
bool transposes_on_threads();

}  // namespace convkit::detail

#pragma once

#include <cstdint>

namespace convkit::detail {

/// Matrices of float32 that follow one another: of each, to[j * to_pitch + i] = from[i * columns + j].
/// Images [C, H * W] become [H * W, C] and back, about twice as fast as by oneDNN's reorder.
struct Transposition {
  int64_t count = 1;
  int64_t rows = 0;  ///< of `from`
  int64_t columns = 0;
  int64_t to_pitch = 0;  ///< from one row of `to` to the next; `rows`, where there are several
};

void transpose(const Transposition& what, const float* from, float* to);

/// Whether transpose() uses so many threads: OpenMP's, which are LibTorch's, where it has them.
bool transposes_on(int threads);

}  // namespace convkit::detail

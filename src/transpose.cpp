#include "transpose.h"

#include <algorithm>

namespace convkit::detail {

namespace {

// Of a tile: a line of the cache read at once, and four written one after the other.
constexpr int64_t kColumns = 16;
constexpr int64_t kRows = 64;

// Four floats, which every 64-bit processor has registers for.
using Four [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;

void transpose_four(const float* from, int64_t columns, float* to, int64_t to_pitch) {
  const auto row = [&](int64_t i) { return *reinterpret_cast<const Four*>(from + i * columns); };
  const Four low_01 = __builtin_shufflevector(row(0), row(1), 0, 4, 1, 5);
  const Four high_01 = __builtin_shufflevector(row(0), row(1), 2, 6, 3, 7);
  const Four low_23 = __builtin_shufflevector(row(2), row(3), 0, 4, 1, 5);
  const Four high_23 = __builtin_shufflevector(row(2), row(3), 2, 6, 3, 7);
  const auto put = [&](int64_t j, Four four) {
    *reinterpret_cast<Four*>(to + j * to_pitch) = four;
  };
  put(0, __builtin_shufflevector(low_01, low_23, 0, 1, 4, 5));
  put(1, __builtin_shufflevector(low_01, low_23, 2, 3, 6, 7));
  put(2, __builtin_shufflevector(high_01, high_23, 0, 1, 4, 5));
  put(3, __builtin_shufflevector(high_01, high_23, 2, 3, 6, 7));
}

/// The tile at row i and column j.
void transpose_tile(const float* from, float* to, int64_t rows, int64_t columns, int64_t to_pitch,
                    int64_t i, int64_t j) {
  from += i * columns + j;
  to += j * to_pitch + i;
  const int64_t height = std::min(rows - i, kRows);
  const int64_t width = std::min(columns - j, kColumns);
  const int64_t whole_height = height / 4 * 4;
  const int64_t whole_width = width / 4 * 4;
  for (int64_t b = 0; b < whole_width; b += 4) {
    for (int64_t a = 0; a < whole_height; a += 4) {
      transpose_four(from + a * columns + b, columns, to + b * to_pitch + a, to_pitch);
    }
  }
  for (int64_t b = 0; b < width; ++b) {
    for (int64_t a = b < whole_width ? whole_height : 0; a < height; ++a) {
      to[b * to_pitch + a] = from[a * columns + b];
    }
  }
}

}  // namespace

void transpose(const float* from, float* to, int64_t rows, int64_t columns, int64_t to_pitch) {
  if (rows == 3 && to_pitch == 3) {  // an image's colours, in half the time
    for (int64_t j = 0; j < columns; ++j) {
      to[3 * j] = from[j];
      to[3 * j + 1] = from[j + columns];
      to[3 * j + 2] = from[j + 2 * columns];
    }
    return;
  }
  for (int64_t j = 0; j < columns; j += kColumns) {
    for (int64_t i = 0; i < rows; i += kRows) {
      transpose_tile(from, to, rows, columns, to_pitch, i, j);
    }
  }
}

}  // namespace convkit::detail

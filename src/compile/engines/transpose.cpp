#include "compile/engines/transpose.h"

#include <algorithm>

namespace convkit::detail {

namespace {

// A tile reads one line of the cache at once, and writes four one after the other.
constexpr int64_t kColumns = 16;
constexpr int64_t kRows = 64;
constexpr int64_t kBand = 512;  // rows or columns: a thread takes some bands
// Elements: a few microseconds. Unused without OpenMP.
[[maybe_unused]] constexpr int64_t kWorthThreads = 16384;

// Four floats, which every 64-bit processor has registers for.
using Four [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;

void transpose_four(const float* from, int64_t from_pitch, float* to, int64_t to_pitch) {
  const auto row = [&](int64_t i) { return *reinterpret_cast<const Four*>(from + i * from_pitch); };
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

/// Part of a matrix.
struct Part {
  int64_t row = 0;
  int64_t column = 0;
  int64_t height = 0;
  int64_t width = 0;
};

void transpose_tile(const Transposition& what, const Part& part, const float* from, float* to) {
  from += part.row * what.columns + part.column;
  to += part.column * what.to_pitch + part.row;
  const int64_t whole_height = part.height / 4 * 4;
  const int64_t whole_width = part.width / 4 * 4;
  for (int64_t b = 0; b < whole_width; b += 4) {
    for (int64_t a = 0; a < whole_height; a += 4) {
      transpose_four(from + a * what.columns + b, what.columns, to + b * what.to_pitch + a,
                     what.to_pitch);
    }
  }
  for (int64_t b = 0; b < part.width; ++b) {
    for (int64_t a = b < whole_width ? whole_height : 0; a < part.height; ++a) {
      to[b * what.to_pitch + a] = from[a * what.columns + b];
    }
  }
}

void transpose_part(const Transposition& what, const Part& part, const float* from, float* to) {
  if (what.rows == 3 && what.to_pitch == 3) {  // an image's colours, in half the time
    for (int64_t j = part.column; j < part.column + part.width; ++j) {
      to[3 * j] = from[j];
      to[3 * j + 1] = from[j + what.columns];
      to[3 * j + 2] = from[j + 2 * what.columns];
    }
    return;
  }
  for (int64_t j = 0; j < part.width; j += kColumns) {
    for (int64_t i = 0; i < part.height; i += kRows) {
      const Part tile{part.row + i, part.column + j, std::min(kRows, part.height - i),
                      std::min(kColumns, part.width - j)};
      transpose_tile(what, tile, from, to);
    }
  }
}

}  // namespace

void transpose(const Transposition& what, const float* from, float* to) {
  // Bands along the longer side, so that threads write apart.
  const bool tall = what.rows > what.columns;
  const int64_t length = tall ? what.rows : what.columns;
  const int64_t bands = (length + kBand - 1) / kBand;
#ifdef _OPENMP
#pragma omp parallel for if (what.count * what.rows * what.columns >= kWorthThreads)
#endif
  for (int64_t k = 0; k < what.count * bands; ++k) {
    const int64_t begin = k % bands * kBand;
    const int64_t extent = std::min(kBand, length - begin);
    const Part part =
        tall ? Part{begin, 0, extent, what.columns} : Part{0, begin, what.rows, extent};
    const int64_t image = k / bands * what.rows * what.columns;
    transpose_part(what, part, from + image, to + image);
  }
}

bool transposes_on([[maybe_unused]] int threads) {
#ifdef _OPENMP
  return true;
#else
  return threads == 1;
#endif
}

}  // namespace convkit::detail

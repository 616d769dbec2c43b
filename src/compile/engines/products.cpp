#include "compile/engines/products.h"

#include "compile/engines/lanes.h"

#include <algorithm>

namespace convkit::detail::products {

namespace {

constexpr int64_t kWide = kPanelRegisters;
constexpr int64_t kAhead = 16;  // rows of b

/// Rows whose sums a processor holds in registers, beside those of b and one of a.
template <typename V>
constexpr int64_t kMostRows = 6;
template <>
constexpr int64_t kMostRows<lanes::Avx512> = 14;

template <typename V, int64_t kRows>
CONVKIT_INLINE void multiply_block(Rows a, int64_t steps, const float* b, float* to,
                                   int64_t to_pitch) {
  using Register = typename V::Register;
  Register sums[kRows][kWide] = {};
  for (int64_t k = 0; k < steps; ++k) {
    // Of other matrices than the first one no memory is near yet.
    __builtin_prefetch(b + (k + kAhead) * kWide * V::kLanes);
    __builtin_prefetch(b + (k + kAhead) * kWide * V::kLanes + V::kLanes);
    Register left;
    Register right;
    lanes::load<V>(b + k * kWide * V::kLanes, left);
    lanes::load<V>(b + k * kWide * V::kLanes + V::kLanes, right);
#pragma GCC unroll 14
    for (int64_t row = 0; row < kRows; ++row) {
      const float x = a.begin[row * a.pitch + k];
      sums[row][0] += x * left;
      sums[row][1] += x * right;
    }
  }
#pragma GCC unroll 14
  for (int64_t row = 0; row < kRows; ++row) {
    lanes::store<V>(sums[row][0], to + row * to_pitch);
    lanes::store<V>(sums[row][1], to + row * to_pitch + V::kLanes);
  }
}

/// A block of so many rows, of which there are at most kRows.
template <typename V, int64_t kRows>
CONVKIT_INLINE void multiply_rows(int64_t rows, Rows a, int64_t steps, const float* b, float* to,
                                  int64_t to_pitch) {
  if constexpr (kRows > 0) {
    if (rows == kRows) {
      multiply_block<V, kRows>(a, steps, b, to, to_pitch);
    } else {
      multiply_rows<V, kRows - 1>(rows, a, steps, b, to, to_pitch);
    }
  }
}

}  // namespace

int64_t panel_width() {
  switch (lanes::processor()) {
    case lanes::Processor::kAvx512:
      return kWide * lanes::Avx512::kLanes;
    case lanes::Processor::kAvx2:
      return kWide * lanes::Avx2::kLanes;
    default:
      return kWide * lanes::Small::kLanes;
  }
}

int64_t padded_columns(int64_t columns) {
  const int64_t width = panel_width();
  return (columns + width - 1) / width * width;
}

int64_t place_in_pack(int64_t steps, int64_t step, int64_t column) {
  const int64_t width = panel_width();
  return (column / width * steps + step) * width + column % width;
}

void multiply(Rows a, int64_t rows, int64_t steps, const float* b, int64_t columns, float* to) {
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    constexpr int64_t kWidth = kWide * V::kLanes;
    const int64_t pitch = (columns + kWidth - 1) / kWidth * kWidth;
    // Blocks of nearly the same number of rows.
    const int64_t blocks = (rows + kMostRows<V> - 1) / kMostRows<V>;
    for (int64_t column = 0; column < columns; column += kWidth) {
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t first = rows * block / blocks;
        const int64_t count = rows * (block + 1) / blocks - first;
        multiply_rows<V, kMostRows<V>>(count, {a.begin + first * a.pitch, a.pitch}, steps,
                                       b + column * steps, to + first * pitch + column, pitch);
      }
    }
  });
}

}  // namespace convkit::detail::products

#pragma once

#include <cstdint>

/// Products of matrices of float32 on one thread: of many matrices which are small, each for a few rows at a
/// time. So they stay in the cache from what makes their rows to what takes the result.
namespace convkit::detail::products {

/// Registers side by side in a panel.
constexpr int64_t kPanelRegisters = 2;

/// How many columns stand next to each other in a packed matrix, which depends on the processor.
int64_t panel_width();

/// The columns of a packed matrix: whole panels.
int64_t padded_columns(int64_t columns);

/// Where column `column` of row `step` is in a matrix of so many steps that is packed as [panels, steps,
/// panel_width()]. After the last column there are zeros.
int64_t place_in_pack(int64_t steps, int64_t step, int64_t column);

/// Rows of numbers in memory; the pitch is the distance of two rows, in numbers.
struct Rows {
  const float* begin = nullptr;
  int64_t pitch = 0;
};

/// to = a b, where a has `rows` of `steps` numbers, b is packed, and `to` has rows of padded_columns() numbers
/// next to each other.
void multiply(Rows a, int64_t rows, int64_t steps, const float* b, int64_t columns, float* to);

}  // namespace convkit::detail::products

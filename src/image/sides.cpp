#include "image/sides.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace convkit::detail {

namespace {

/// The quotient of Python's integers, rounded down.
int64_t scaled(int64_t a, int64_t b, int64_t divisor) {
  return static_cast<int64_t>(static_cast<double>(a * b) / static_cast<double>(divisor));
}

}  // namespace

void check_sides(const char* name, int64_t height, int64_t width) {
  TORCH_CHECK_VALUE(height <= kLongestSide && width <= kLongestSide, name,
                    ": expected sides <= ", kLongestSide, ", got ", height, " x ", width);
}

std::array<int64_t, 2> resized_sides(const std::array<int64_t, 2>& sides, c10::IntArrayRef size,
                                     std::optional<int64_t> max_size) {
  const auto [height, width] = sides;
  check_max_size("resize", size, max_size);
  if (size.size() == 2) return {size[0], size[1]};
  check_sides("resize", height, width);
  int64_t shorter = size[0];
  int64_t longer = scaled(shorter, std::max(height, width), std::min(height, width));
  if (max_size && longer > *max_size) {
    shorter = scaled(*max_size, shorter, longer);
    longer = *max_size;
  }
  TORCH_CHECK_VALUE(shorter >= 1, "resize: expected sides >= 1, got ", shorter, " beside ", longer,
                    " for ", height, " x ", width);
  check_sides("resize", width <= height ? longer : shorter, width <= height ? shorter : longer);
  if (width <= height) return {longer, shorter};
  return {shorter, longer};
}

void check_max_size(const char* name, c10::IntArrayRef size, std::optional<int64_t> max_size) {
  if (!max_size) return;
  TORCH_CHECK_VALUE(size.size() == 1, name,
                    ": expected max_size with a size of one side alone, got ", *max_size, " with ",
                    size);
  TORCH_CHECK_VALUE(*max_size > size[0], name, ": expected max_size above the shorter side ",
                    size[0], ", got ", *max_size);
  TORCH_CHECK_VALUE(*max_size <= kLongestSide, name, ": expected max_size <= ", kLongestSide,
                    ", got ", *max_size);
}

std::array<int64_t, 4> sides_of_padding(const char* name, c10::IntArrayRef padding) {
  const std::size_t count = padding.size();
  TORCH_CHECK_VALUE(count == 1 || count == 2 || count == 4, name,
                    ": expected padding of 1, 2 or 4 numbers, got ", padding);
  std::array<int64_t, 4> sides{};
  for (std::size_t i = 0; i < 4; ++i) sides[i] = padding[i % count];
  for (const int64_t side : sides) {
    TORCH_CHECK_VALUE(side >= 0, name, ": expected padding >= 0, got ", padding);
    TORCH_CHECK_VALUE(side <= kLongestSide, name, ": expected padding <= ", kLongestSide, ", got ",
                      padding);
  }
  return sides;
}

std::array<int64_t, 2> sides_of_kernel(const char* name, c10::IntArrayRef kernel_size) {
  TORCH_CHECK_VALUE(kernel_size.size() == 1 || kernel_size.size() == 2, name,
                    ": expected 1 or 2 numbers of kernel_size, got ", kernel_size);
  for (const int64_t side : kernel_size) {
    TORCH_CHECK_VALUE(side > 0 && side % 2 == 1, name, ": expected odd sides of kernel_size, got ",
                      side);
  }
  return {kernel_size.front(), kernel_size.back()};
}

int64_t rounded_half(int64_t x) {
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(x) / 2));
}

}  // namespace convkit::detail

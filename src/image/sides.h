#pragma once

#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <limits>
#include <optional>

/// What transforms say of the sides of an image and of its boxes alike.
namespace convkit::detail {

/// The longest side of an image, as Pillow has it. Sums and products of two sides are in range, too.
inline constexpr int64_t kLongestSide = std::numeric_limits<int32_t>::max();

/// Refuses the sides of a result that are too long.
void check_sides(const char* name, int64_t height, int64_t width);

/// {height, width} of what resize() makes of such an image.
std::array<int64_t, 2> resized_sides(const std::array<int64_t, 2>& sides, c10::IntArrayRef size,
                                     std::optional<int64_t> max_size);

/// Refuses a max_size that does not go with the size.
void check_max_size(const char* name, c10::IntArrayRef size, std::optional<int64_t> max_size);

/// {left, top, right, bottom} of 1, 2 or 4 numbers.
std::array<int64_t, 4> sides_of_padding(const char* name, c10::IntArrayRef padding);

/// {width, height} of a Gaussian's kernel, which are odd.
std::array<int64_t, 2> sides_of_kernel(const char* name, c10::IntArrayRef kernel_size);

/// Python's round(x / 2).
int64_t rounded_half(int64_t x);

}  // namespace convkit::detail

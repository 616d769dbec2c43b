#pragma once

#include "boxes.h"

#include <cstdint>

namespace draw {

struct Size {
  int64_t width;
  int64_t height;
};

/// Puts the parts of a box one below the other, in the order of what flows through them: those that
/// do not wait for each other stand side by side, and long rows of boxes go on in a next column.
/// `font` is that of the parts. Returns how much room they take.
Size arrange(PlacedBox& placed, int64_t font);

}  // namespace draw

#pragma once

#include "diagram.h"
#include "svg.h"

#include <cstdint>
#include <string>
#include <vector>

/// Where the boxes of a diagram stand. A box is as large as what is in it, and its heading as large as
/// the box allows: like a map, the picture says more the nearer one looks.
namespace draw {

struct PlacedBox {
  const Item* item = nullptr;
  Box box{};
  int64_t font = 0;  ///< of the heading, or of all that a box without parts says
  int64_t line = 0;  ///< the width of the lines between the parts
  std::vector<PlacedBox> parts;
  std::vector<std::vector<Point>> paths;  ///< from part to part
  Point in{};                             ///< where they begin
  Point out{};                            ///< where they end
};

/// The lines of text of a box, the first of which is its heading.
std::vector<std::string> texts_of(const Item& item);

/// How large the texts below the heading are.
int64_t small_font(const PlacedBox& placed);

/// Places all, with the outermost box at 0, 0.
PlacedBox placed(const Item& item);

}  // namespace draw

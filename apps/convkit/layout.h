#pragma once

#include "captions.h"
#include "convolution.h"
#include "svg.h"

#include <string>

namespace draw {

/// About how wide a text is, in pixels. No font is known here, so it is as if set in a wide one.
int64_t text_width(const std::string& text, int64_t font_size);

struct Grid {
  int64_t rows;
  int64_t columns;
  int64_t cell;  // a cell's side, in pixels
  Point origin;

  int64_t width() const { return columns * cell; }
  int64_t height() const { return rows * cell; }
  Point centre() const { return {origin.x + width() / 2, origin.y + height() / 2}; }
  /// A cell without the gap to its neighbours.
  Box at(int64_t row, int64_t column) const {
    return {origin.x + column * cell + 1, origin.y + row * cell + 1, cell - 2, cell - 2};
  }
};

/// Where things stand on a picture of 1120 pixels' width: the input and the output side by side, or
/// one above the other where their cells become larger so.
struct Layout {
  static constexpr int64_t kWidth = 1120;
  static constexpr int64_t kMargin = 40;

  explicit Layout(const Convolution& convolution);

  bool stacked = false;
  bool has_sides = false;  // some cells are padding, or cropped
  Grid input{};            // of a convolution, with its padding
  Grid output{};           // of a transposed one, with what is cropped
  Point arrow{};           // its middle
  int64_t bottom = 0;

 private:
  void place_side_by_side(int64_t input_width, int64_t output_width);
  void place_stacked();
};

}  // namespace draw

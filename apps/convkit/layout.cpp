#include "layout.h"

#include <algorithm>

namespace draw {
namespace {

constexpr int64_t kTop = 94;       // below the title
constexpr int64_t kCaption = 64;   // above a grid: two lines and the number of padded cells
constexpr int64_t kSide = 34;      // around a grid: that number
constexpr int64_t kBetween = 170;  // for the arrow to the right
constexpr int64_t kBelow = 60;     // for the arrow downwards
constexpr int64_t kMostHeight = 320;
constexpr int64_t kLargestCell = 48;

int64_t largest_cell(int64_t width, int64_t columns, int64_t height, int64_t rows) {
  return std::min({kLargestCell, width / columns, height / rows});
}

int64_t caption_width(const Caption& caption) {
  return std::max(text_width(caption.name, 18), text_width(caption.around, 14));
}

}  // namespace

int64_t text_width(const std::string& text, int64_t font_size) {
  // Bytes that continue a character of UTF-8 have no width of their own.
  const auto characters = std::count_if(text.begin(), text.end(),
                                        [](unsigned char byte) { return (byte & 0xc0) != 0x80; });
  return characters * font_size * 60 / 100;
}

Layout::Layout(const Convolution& c) {
  const Walk down = walk(c.transposed, c.height);
  const Walk across = walk(c.transposed, c.width);
  input = {.rows = down.canvas(), .columns = across.canvas(), .cell = 0, .origin = {}};
  output = {.rows = down.steps, .columns = across.steps, .cell = 0, .origin = {}};
  if (c.transposed) std::swap(input, output);
  has_sides = down.canvas() > down.inner || across.canvas() > across.inner;

  const int64_t input_caption_width = caption_width(input_caption(c));
  const int64_t output_caption_width = caption_width(output_caption(c));
  const auto block = [](const Grid& grid, int64_t cell, int64_t caption) {
    return std::max(grid.columns * cell + 2 * kSide, caption);
  };
  const int64_t room = kWidth - 2 * kMargin - kBetween;
  int64_t beside = largest_cell(room, 1, kMostHeight, std::max(input.rows, output.rows));
  while (block(input, beside, input_caption_width) + block(output, beside, output_caption_width) >
         room) {
    --beside;
  }
  const int64_t above =
      largest_cell(kWidth - 2 * (kMargin + kSide), std::max(input.columns, output.columns),
                   kMostHeight - kCaption - kBelow, input.rows + output.rows);
  // Side by side reads better, and is left only for cells that are much larger.
  stacked = above * 4 > beside * 5;
  input.cell = output.cell = stacked ? above : beside;
  if (stacked) {
    place_stacked();
  } else {
    place_side_by_side(block(input, beside, input_caption_width),
                       block(output, beside, output_caption_width));
  }
}

void Layout::place_side_by_side(int64_t input_width, int64_t output_width) {
  const int64_t left = (kWidth - input_width - kBetween - output_width) / 2;
  const int64_t height = std::max(input.height(), output.height());
  const int64_t middle = kTop + kCaption + height / 2;
  input.origin = {left + (input_width - input.width()) / 2, middle - input.height() / 2};
  output.origin = {left + input_width + kBetween + (output_width - output.width()) / 2,
                   middle - output.height() / 2};
  arrow = {left + input_width + kBetween / 2, middle};
  bottom = kTop + kCaption + height + kSide;
}

void Layout::place_stacked() {
  input.origin = {(kWidth - input.width()) / 2, kTop + kCaption};
  const int64_t between = input.origin.y + input.height() + kSide;
  arrow = {kWidth / 2, between + kBelow / 2};
  output.origin = {(kWidth - output.width()) / 2, between + kBelow + kCaption};
  bottom = output.origin.y + output.height() + kSide;
}

}  // namespace draw

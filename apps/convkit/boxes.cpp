#include "boxes.h"

#include "layout.h"
#include "rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace draw {
namespace {

constexpr int64_t kFont = 14;

// What stands beside large boxes is large too, in hundredths of their headings.
constexpr int64_t kLeafShare = 75;
constexpr int64_t kBoxShare = 50;

int64_t share(int64_t value, int64_t percent) {
  return value * percent / 100;
}

/// 36864 -> "36.9 k".
std::string short_number(int64_t number) {
  if (number < 1000) return std::to_string(number);
  auto value = static_cast<double>(number);
  const char* unit = "";
  for (const char* next : {" k", " M", " G", " T"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return fmt::format("{:.{}f}{}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, unit);
}

void move(PlacedBox& placed, int64_t x, int64_t y) {
  const auto shift = [&](Point& point) { point = {point.x + x, point.y + y}; };
  placed.box.x += x;
  placed.box.y += y;
  shift(placed.in);
  shift(placed.out);
  for (auto& path : placed.paths) {
    for (Point& point : path) shift(point);
  }
  for (PlacedBox& part : placed.parts) move(part, x, y);
}

int64_t widest(const std::vector<std::string>& texts, int64_t font, int64_t small) {
  int64_t width = text_width(texts[0], font);
  for (std::size_t i = 1; i < texts.size(); ++i) {
    width = std::max(width, text_width(texts[i], small));
  }
  return width;
}

void measure_leaf(PlacedBox& placed, int64_t font) {
  placed.font = font;
  if (placed.item->row == nullptr) {
    placed.box.width = text_width(placed.item->words, font) + share(font, 120);
    placed.box.height = share(font, 160);
    return;
  }
  const auto texts = texts_of(*placed.item);
  const int64_t small = small_font(placed);
  placed.box.width = widest(texts, font, small) + share(font, 120);
  placed.box.height = share(font, 185) + static_cast<int64_t>(texts.size() - 1) * share(small, 135);
}

PlacedBox measured(const Item& item, bool has_heading, int64_t smallest) {
  PlacedBox placed;
  placed.item = &item;
  int64_t largest = 0;
  for (const Item& part : item.parts) {
    placed.parts.push_back(measured(part, /*has_heading=*/true, smallest));
    largest = std::max(largest, placed.parts.back().font);
  }
  if (item.parts.empty()) return placed;  // measured with what is beside it
  for (PlacedBox& part : placed.parts) {
    const int64_t least = share(largest, kBoxShare);
    if (part.item->parts.empty() || part.font >= least) continue;
    part = measured(*part.item, /*has_heading=*/true, smallest * least / part.font);
  }
  const int64_t font = std::max(smallest, share(largest, kLeafShare));
  for (PlacedBox& part : placed.parts) {
    if (part.item->parts.empty()) measure_leaf(part, font);
  }
  const Size content = arrange(placed, font);
  if (!has_heading) {
    placed.box = {0, 0, content.width, content.height};
    return placed;
  }
  const auto texts = texts_of(item);
  const int64_t least = share(font, 115);
  placed.font = std::max(least, content.width / 24);
  const int64_t border = font;
  while (placed.font > least && widest(texts, placed.font, small_font(placed)) > content.width) {
    --placed.font;
  }
  const int64_t heading = share(placed.font, 190) +
                          static_cast<int64_t>(texts.size() - 1) * share(small_font(placed), 140);
  const int64_t width =
      std::max(content.width, widest(texts, placed.font, small_font(placed))) + 2 * border;
  move(placed, (width - content.width) / 2, heading);
  placed.box = {0, 0, width, heading + content.height + border};
  return placed;
}

}  // namespace

std::vector<std::string> texts_of(const Item& item) {
  std::vector<std::string> texts = {item.name.empty() ? item.words : item.name + " " + item.words};
  if (item.row == nullptr) return texts;
  const convkit::SummaryRow& row = *item.row;
  std::string line;
  const auto add = [&](const std::string& text) { line += (line.empty() ? "" : " · ") + text; };
  if (!row.output_sizes.empty()) {
    add(fmt::format("[{}]", fmt::join(row.output_sizes[0], ", ")));
  }
  const bool wide = !item.parts.empty();
  if (!wide && !line.empty()) texts.push_back(std::exchange(line, ""));
  if (row.parameters > 0) add(short_number(row.parameters) + " parameters");
  if (row.macs > 0) add(short_number(row.macs) + " MACs");
  if (!line.empty()) texts.push_back(line);
  if (!item.note.empty()) texts.push_back(item.note);
  return texts;
}

int64_t small_font(const PlacedBox& placed) {
  return share(placed.font, placed.parts.empty() ? 82 : 65);
}

PlacedBox placed(const Item& item) {
  return measured(item, /*has_heading=*/item.parts.empty(), kFont);
}

}  // namespace draw

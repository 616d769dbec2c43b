#include "rows.h"

#include "levels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace draw {
namespace {

using Link = std::pair<int64_t, int64_t>;

std::size_t at(int64_t number) {
  return static_cast<std::size_t>(number);
}

/// Rows of one column, from the first one to before the last one.
struct Column {
  int64_t first = 0;
  int64_t last = 0;
  int64_t x = 0;
  int64_t width = 0;
  int64_t height = 0;
};

class Arranger {
 public:
  Arranger(PlacedBox& placed, int64_t font)
      : placed_(placed),
        edges_(placed.item->edges),
        gap_(font * 17 / 10),
        beside_(font * 3 / 2),
        dot_(font / 2),
        levels_(placed, gap_) {}

  Size arrange() {
    std::optional<std::vector<Column>> best;
    double least = 0;
    for (int64_t count = 1; count <= std::min<int64_t>(rows(), 14); ++count) {
      std::vector<Column> columns;
      for (const auto& [first, last] : levels_.divided(count)) {
        columns.push_back({.first = first, .last = last});
      }
      const Size size = place(columns);
      const double shape = static_cast<double>(size.width) / static_cast<double>(size.height);
      // Columns that need not be are harder to follow, and so are the lines around them.
      const double cost = std::abs(std::log(shape / 1.1)) + 0.12 * static_cast<double>(count - 1) +
                          0.6 * static_cast<double>(lines_around(columns));
      if (best && (cost >= least || is_uneven(columns))) continue;
      best = columns;
      least = cost;
    }
    const Size size = place(*best);
    draw_edges(*best);
    return size;
  }

 private:
  int64_t rows() const { return levels_.rows(); }
  int64_t level(int64_t part) const { return levels_.level(part); }

  /// Whether something goes out of a part of a column that is not the last one.
  bool goes_around(const Link& edge, const Column& from) const {
    return edge.second == Item::kOut && from.last < rows();
  }

  int64_t lines_around(const std::vector<Column>& columns) const {
    int64_t lines = 0;
    for (const Link& edge : edges_) {
      for (const Column& column : columns) {
        const int64_t row = std::max<int64_t>(level(edge.first), 0);
        const bool is_from = column.first <= row && row < column.last;
        lines += is_from && goes_around(edge, column) ? 1 : 0;
      }
    }
    return lines;
  }

  /// A short rest in a column of its own looks lost.
  static bool is_uneven(const std::vector<Column>& columns) {
    const auto [least, most] =
        std::minmax_element(columns.begin(), columns.end(),
                            [](const Column& a, const Column& b) { return a.height < b.height; });
    return least->height * 5 < most->height * 2;
  }

  /// Edges that go past other rows, in a lane beside them; or down through a free track.
  bool needs_lane(const Link& edge) const {
    const auto [from, to] = edge;
    if (level(to) - level(from) < 2) return false;
    if (levels_.centred()) return true;
    const int64_t track = from < 0 ? 0 : levels_.track(from);
    for (int64_t row = level(from) + 1; row < level(to); ++row) {
      for (const int64_t part : levels_.row(row)) {
        if (levels_.track(part) == track) return true;
      }
    }
    return false;
  }

  bool is_in(const Column& column, const Link& edge) const {
    const int64_t from = std::max<int64_t>(level(edge.first), 0);
    const int64_t to = std::min(level(edge.second), rows() - 1);
    return column.first <= from && to < column.last;
  }

  /// Gives each edge of a column that needs one a lane; returns how many there are.
  int64_t set_lanes(const Column& column) {
    std::vector<Link> edges;
    for (const Link& edge : edges_) {
      if (is_in(column, edge) && needs_lane(edge)) edges.push_back(edge);
    }
    std::stable_sort(edges.begin(), edges.end(), [&](const Link& a, const Link& b) {
      return level(a.second) - level(a.first) < level(b.second) - level(b.first);
    });
    std::vector<std::vector<Link>> lanes;
    for (const Link& edge : edges) {
      std::size_t lane = 0;
      const auto meets = [&](const Link& other) {
        return level(edge.first) < level(other.second) && level(other.first) < level(edge.second);
      };
      while (lane < lanes.size() && std::any_of(lanes[lane].begin(), lanes[lane].end(), meets)) {
        ++lane;
      }
      if (lane == lanes.size()) lanes.emplace_back();
      lanes[lane].push_back(edge);
      lanes_[edge] = static_cast<int64_t>(lane);
    }
    return static_cast<int64_t>(lanes.size());
  }

  void place_column(Column& column) {
    std::vector<int64_t> widths(at(levels_.track_count()));
    int64_t row_width = 0;
    for (int64_t row = column.first; row < column.last; ++row) {
      int64_t width = -beside_;
      for (const int64_t part : levels_.row(row)) {
        const int64_t own = placed_.parts[at(part)].box.width;
        int64_t& track = widths[at(levels_.track(part))];
        track = std::max(track, own);
        width += own + beside_;
      }
      row_width = std::max(row_width, width);
    }
    if (!levels_.centred()) {
      row_width = -beside_;
      for (const int64_t width : widths) row_width += width == 0 ? 0 : width + beside_;
    }
    axis_ = column.x + (levels_.centred() ? row_width : widths[0]) / 2;
    const int64_t lanes = set_lanes(column);
    lanes_at_ = column.x + row_width;
    column.width = row_width + lanes * beside_;
    int64_t y = 0;
    if (column.first == 0) {
      placed_.in = {axis_, dot_};
      y = 2 * dot_;
    }
    for (int64_t row = column.first; row < column.last; ++row) {
      y += gap_;
      place_row(levels_.row(row), column.x, row_width, widths, y);
      tops_[row] = y;
      y += levels_.height(row);
      bottoms_[row] = y;
    }
    if (column.last == rows()) {
      y += gap_;
      placed_.out = {axis_, y + dot_};
      y += 2 * dot_;
    }
    column.height = y;
    lane_starts_[column.first] = lanes_at_;
  }

  void place_row(const std::vector<int64_t>& row, int64_t left, int64_t width,
                 const std::vector<int64_t>& widths, int64_t top) {
    int64_t used = -beside_;
    for (const int64_t part : row) used += placed_.parts[at(part)].box.width + beside_;
    int64_t x = left + (width - used) / 2;
    for (const int64_t part : row) {
      PlacedBox& box = placed_.parts[at(part)];
      int64_t place = x;
      if (!levels_.centred()) {
        place = left;
        for (int64_t track = 0; track < levels_.track(part); ++track) {
          place += widths[at(track)] == 0 ? 0 : widths[at(track)] + beside_;
        }
        place += (widths[at(levels_.track(part))] - box.box.width) / 2;
      }
      x += box.box.width + beside_;
      int64_t height = -gap_;
      for (int64_t r = level(part); r <= levels_.last_row(part); ++r)
        height += levels_.height(r) + gap_;
      shift(box, place - box.box.x, top + (height - box.box.height) / 2 - box.box.y);
    }
  }

  static void shift(PlacedBox& placed, int64_t x, int64_t y) {
    const auto by = [&](Point& point) { point = {point.x + x, point.y + y}; };
    placed.box.x += x;
    placed.box.y += y;
    by(placed.in);
    by(placed.out);
    for (auto& path : placed.paths) std::for_each(path.begin(), path.end(), by);
    for (PlacedBox& part : placed.parts) shift(part, x, y);
  }

  Size place(std::vector<Column>& columns) {
    int64_t x = 0;
    int64_t height = 0;
    lanes_.clear();
    for (Column& column : columns) {
      column.x = x;
      place_column(column);
      x += column.width + 2 * beside_;
      height = std::max(height, column.height);
    }
    bottom_ = height;
    return {x - 2 * beside_, height + (columns.size() > 1 ? gap_ : 0)};
  }

  Point start_of(int64_t part) const {
    if (part == Item::kIn) return {placed_.in.x, placed_.in.y + dot_};
    const Box& box = placed_.parts[at(part)].box;
    return {box.x + box.width / 2, box.y + box.height};
  }
  Point end_of(int64_t part) const {
    if (part == Item::kOut) return {placed_.out.x, placed_.out.y - dot_};
    const Box& box = placed_.parts[at(part)].box;
    return {box.x + box.width / 2, box.y};
  }

  /// From edge to edge of two boxes, or of a box and a dot.
  std::vector<Point> path_of(const Link& edge, const Column& from, const Column& to) const {
    const Point start = start_of(edge.first);
    Point end = end_of(edge.second);
    if (std::abs(end.x - start.x) < 4) end.x = start.x;  // by rounding
    const int64_t above = edge.second == Item::kOut ? end.y : tops_.at(level(edge.second));
    const int64_t below = edge.first == Item::kIn ? start.y : bottoms_.at(level(edge.first));
    if (goes_around(edge, from)) {
      const int64_t beside = from.x + from.width + beside_ / 2;
      const int64_t bottom = bottom_ + gap_ * 4 / 5;
      return {start,
              {start.x, below + gap_ * 3 / 10},
              {beside, below + gap_ * 3 / 10},
              {beside, bottom},
              {end.x, bottom},
              {end.x, placed_.out.y + dot_}};
    }
    if (&from != &to) {
      const int64_t between = from.x + from.width + beside_;
      const int64_t top = tops_.at(to.first) - gap_ / 2;
      return {start,
              {start.x, below + gap_ / 2},
              {between, below + gap_ / 2},
              {between, top},
              {end.x, top},
              end};
    }
    if (const auto lane = lanes_.find(edge); lane != lanes_.end()) {
      const int64_t x = lane_starts_.at(from.first) + (lane->second + 1) * beside_ - beside_ / 3;
      return {start,
              {start.x, below + gap_ * 3 / 10},
              {x, below + gap_ * 3 / 10},
              {x, above - gap_ / 2},
              {end.x, above - gap_ / 2},
              end};
    }
    if (start.x == end.x) return {start, end};
    return {start, {start.x, above - gap_ / 2}, {end.x, above - gap_ / 2}, end};
  }

  void draw_edges(const std::vector<Column>& columns) {
    const auto column_of = [&](int64_t row) -> const Column& {
      return *std::find_if(columns.begin(), columns.end(), [&](const Column& column) {
        return column.first <= row && row < column.last;
      });
    };
    for (const Link& edge : edges_) {
      const Column& from = column_of(std::max<int64_t>(level(edge.first), 0));
      const Column& to = column_of(std::min(level(edge.second), rows() - 1));
      placed_.paths.push_back(path_of(edge, from, to));
    }
    placed_.line = std::max<int64_t>(1, gap_ / 16);
  }

  PlacedBox& placed_;
  const std::vector<Link>& edges_;
  int64_t gap_;     // between the rows
  int64_t beside_;  // between what stands side by side
  int64_t dot_;     // half of where all begins, and ends
  Levels levels_;
  int64_t axis_ = 0;
  int64_t lanes_at_ = 0;
  int64_t bottom_ = 0;  // of the highest column
  std::map<Link, int64_t> lanes_;
  std::map<int64_t, int64_t> lane_starts_;  // of each column, by its first row
  std::map<int64_t, int64_t> tops_;
  std::map<int64_t, int64_t> bottoms_;
};

}  // namespace

Size arrange(PlacedBox& placed, int64_t font) {
  return Arranger(placed, font).arrange();
}

}  // namespace draw

#include "levels.h"

#include <algorithm>
#include <limits>
#include <set>

namespace draw {

Levels::Levels(const PlacedBox& placed, int64_t gap)
    : placed_(placed),
      edges_(placed.item->edges),
      count_(static_cast<int64_t>(placed.parts.size())),
      gap_(gap) {
  set_levels();
  set_tracks();
  for (int64_t row = 0; row < rows(); ++row) {
    heights_.push_back(height_of(row));
    can_end_.push_back(can_end(row));
  }
}

int64_t Levels::level(int64_t part) const {
  if (part == Item::kIn) return -1;
  return part == Item::kOut ? rows() : levels_[at(part)];
}

void Levels::set_levels() {
  levels_.assign(at(count_), 0);
  for (int64_t i = 0; i < count_ && edges_.empty(); ++i) levels_[at(i)] = i;
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [from, to] : edges_) {
      if (from < 0 || to < 0 || levels_[at(to)] > levels_[at(from)]) continue;
      levels_[at(to)] = levels_[at(from)] + 1;
      changed = true;
    }
  }
  for (int64_t part = 0; part < count_; ++part) {
    if (rows_.size() <= at(levels_[at(part)])) rows_.resize(at(levels_[at(part)]) + 1);
    rows_[at(levels_[at(part)])].push_back(part);
  }
  for (const auto& row : rows_) {
    most_beside_ = std::max(most_beside_, static_cast<int64_t>(row.size()));
  }
}

/// A part stands below the one that it reads; one that joins several, below the leftmost.
void Levels::set_tracks() {
  tracks_.assign(at(count_), 0);
  for (auto& row : rows_) {
    std::set<int64_t> taken;
    for (const int64_t part : row) {
      int64_t track = most_beside_;
      for (const auto& [from, to] : edges_) {
        if (to == part) track = std::min(track, from < 0 ? 0 : tracks_[at(from)]);
      }
      if (track == most_beside_) track = 0;
      while (taken.contains(track)) ++track;
      taken.insert(track);
      tracks_[at(part)] = track;
      track_count_ = std::max(track_count_, track + 1);
    }
  }
}

int64_t Levels::height_of(int64_t row) const {
  int64_t height = 0;
  for (const int64_t part : rows_[at(row)]) {
    if (last_row(part) > row) continue;
    height = std::max(height, placed_.parts[at(part)].box.height);
  }
  // A long part makes the last row that it stands beside higher, if need be.
  for (int64_t part = 0; part < count_; ++part) {
    const int64_t first = levels_[at(part)];
    if (first >= row || last_row(part) != row) continue;
    int64_t room = 0;
    for (int64_t above = first; above < row; ++above) room += heights_[at(above)] + gap_;
    height = std::max(height, placed_.parts[at(part)].box.height - room);
  }
  return height;
}

/// Whether a column can end below a row: all that goes on comes from one part.
bool Levels::can_end(int64_t row) const {
  std::set<int64_t> sources;
  for (const auto& [from, to] : edges_) {
    const bool leaves_early = to == Item::kOut && level(from) < row;
    if (level(from) <= row && level(to) > row && !leaves_early) sources.insert(from);
  }
  if (sources.empty()) return true;
  return sources.size() == 1 && level(*sources.begin()) == row;
}

int64_t Levels::last_row(int64_t part) const {
  const int64_t own = levels_[at(part)];
  if (centred() || tracks_[at(part)] == 0) return own;
  int64_t end = rows();
  for (const auto& [from, to] : edges_) {
    if (from == part) end = std::min(end, level(to));
  }
  for (int64_t other = 0; other < count_; ++other) {
    const bool below = tracks_[at(other)] == tracks_[at(part)] && levels_[at(other)] > own;
    if (below) end = std::min(end, levels_[at(other)]);
  }
  return end - 1;
}

std::vector<std::pair<int64_t, int64_t>> Levels::divided(int64_t count) const {
  const auto most = std::numeric_limits<int64_t>::max();
  // Of the first rows in so many columns: the height, and where the last column begins.
  std::vector<std::vector<std::pair<int64_t, int64_t>>> best(
      at(count + 1), std::vector<std::pair<int64_t, int64_t>>(at(rows() + 1), {most, 0}));
  best[0][0] = {0, 0};
  for (int64_t column = 1; column <= count; ++column) {
    for (int64_t end = 1; end <= rows(); ++end) {
      if (end < rows() && !can_end_[at(end - 1)]) continue;
      int64_t height = 0;
      for (int64_t begin = end; begin-- > 0;) {
        height += heights_[at(begin)] + gap_;
        const int64_t before = best[at(column - 1)][at(begin)].first;
        if (before == most) continue;
        auto& [least, first] = best[at(column)][at(end)];
        if (std::max(before, height) < least) {
          least = std::max(before, height);
          first = begin;
        }
      }
    }
  }
  int64_t used = count;
  while (best[at(used)][at(rows())].first == most) --used;
  std::vector<std::pair<int64_t, int64_t>> columns;
  for (int64_t end = rows(); used > 0; --used) {
    const int64_t begin = best[at(used)][at(end)].second;
    columns.insert(columns.begin(), {begin, end});
    end = begin;
  }
  return columns;
}

}  // namespace draw

#pragma once

#include "boxes.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace draw {

/// Which parts of a box stand in one row, and which one below the other.
class Levels {
 public:
  /// `gap` is the room between two rows.
  Levels(const PlacedBox& placed, int64_t gap);

  int64_t rows() const { return static_cast<int64_t>(rows_.size()); }
  const std::vector<int64_t>& row(int64_t number) const { return rows_[at(number)]; }
  int64_t height(int64_t row) const { return heights_[at(row)]; }

  /// The row of a part; that of what comes in is -1, and that of what goes out rows().
  int64_t level(int64_t part) const;
  /// The row before the next one that something stands in below a part, where that can be longer than
  /// its own row: beside the others, on the way to what reads it.
  int64_t last_row(int64_t part) const;
  /// The place of a part in its row.
  int64_t track(int64_t part) const { return tracks_[at(part)]; }
  int64_t track_count() const { return track_count_; }
  /// Rows of more than two parts have their middles below each other, and no tracks.
  bool centred() const { return most_beside_ > 2; }

  /// At most `count` columns, each from a row to before another one, of which the highest one is as
  /// low as can be.
  std::vector<std::pair<int64_t, int64_t>> divided(int64_t count) const;

 private:
  static std::size_t at(int64_t number) { return static_cast<std::size_t>(number); }

  void set_levels();
  void set_tracks();
  int64_t height_of(int64_t row) const;
  bool can_end(int64_t row) const;

  const PlacedBox& placed_;
  const std::vector<std::pair<int64_t, int64_t>>& edges_;
  int64_t count_;
  int64_t gap_;
  std::vector<int64_t> levels_;
  std::vector<std::vector<int64_t>> rows_;
  std::vector<int64_t> heights_;  // of the rows
  std::vector<bool> can_end_;     // a column, below each row
  std::vector<int64_t> tracks_;
  int64_t track_count_ = 1;
  int64_t most_beside_ = 1;
};

}  // namespace draw

#pragma once

#include "diagram.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace draw {

/// Which of the parts of a box can be reached from which.
class Reach {
 public:
  Reach(std::size_t count, const std::vector<std::pair<int64_t, int64_t>>& edges);

  bool operator()(std::size_t from, std::size_t to) const { return reached_[from][to]; }

 private:
  std::vector<std::vector<bool>> reached_;
};

/// Leaves out the edges that go past other parts, where these are so many that they would hide all
/// else: where each part reads what all before it gave. The item's note says so.
void thin_out(Item& item);

}  // namespace draw

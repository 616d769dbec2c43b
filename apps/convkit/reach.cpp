#include "reach.h"

#include <fmt/format.h>

#include <algorithm>

namespace draw {
namespace {

bool starts_by(const Item& item, const Reach& reach, std::size_t part) {
  return std::any_of(item.edges.begin(), item.edges.end(), [&](const auto& edge) {
    return edge.first == Item::kIn && edge.second >= 0 &&
           (static_cast<std::size_t>(edge.second) == part ||
            reach(static_cast<std::size_t>(edge.second), part));
  });
}

bool gives(const Item& item, const Reach& reach, std::size_t part) {
  return std::any_of(item.edges.begin(), item.edges.end(), [&](const auto& edge) {
    return edge.second == Item::kOut && edge.first >= 0 &&
           (static_cast<std::size_t>(edge.first) == part ||
            reach(part, static_cast<std::size_t>(edge.first)));
  });
}

}  // namespace

Reach::Reach(std::size_t count, const std::vector<std::pair<int64_t, int64_t>>& edges)
    : reached_(count, std::vector<bool>(count)) {
  for (const auto& [from, to] : edges) {
    if (from >= 0 && to >= 0)
      reached_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)] = true;
  }
  for (std::size_t k = 0; k < count; ++k) {
    for (auto& row : reached_) {
      if (!row[k]) continue;
      for (std::size_t j = 0; j < count; ++j) {
        if (reached_[k][j]) row[j] = true;
      }
    }
  }
}

void thin_out(Item& item) {
  constexpr int64_t kMostLines = 8;
  const Reach reach(item.parts.size(), item.edges);
  std::vector<std::pair<int64_t, int64_t>> kept;
  for (const auto& [from, to] : item.edges) {
    bool around = false;
    for (std::size_t k = 0; k < item.parts.size(); ++k) {
      const auto middle = static_cast<int64_t>(k);
      if (middle == from || middle == to) continue;
      const bool begins =
          from >= 0 ? reach(static_cast<std::size_t>(from), k) : starts_by(item, reach, k);
      const bool ends = to >= 0 ? reach(k, static_cast<std::size_t>(to)) : gives(item, reach, k);
      around = around || (begins && ends);
    }
    if (!around) kept.emplace_back(from, to);
  }
  const auto left_out = static_cast<int64_t>(item.edges.size() - kept.size());
  if (left_out <= kMostLines) return;
  item.edges = kept;
  item.note = fmt::format("{} lines past other boxes are left out", left_out);
}

}  // namespace draw

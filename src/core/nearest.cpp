#include "core/nearest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace convkit::detail {

namespace {

/// Counts the letters that have to be put in, left out or changed to make one name of the other.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({row[j + 1] + 1, row[j] + 1, changed}));
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_names(const std::string& name, const std::vector<std::string>& names) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  // The beginning of an endless name tells as much as all of it.
  const std::string beginning = name.substr(0, 100);
  for (const std::string& known : names) {
    ranked.emplace_back(edit_distance(beginning, known), known);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t count = std::min<std::size_t>(ranked.size(), 3);
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += (i == 0 ? "" : i + 1 < count ? ", " : " and ") + ranked[i].second;
  }
  return text;
}

}  // namespace convkit::detail

#pragma once

#include "flow.h"
#include "words.h"

#include <convkit/summary.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// A network as boxes in boxes, and what flows from box to box.
namespace draw {

/// A module or an operator, with what is in it.
struct Item {
  Kind kind = Kind::kModule;
  std::string path;                          ///< of a module
  std::string name;                          ///< the last part of it; empty for an operator
  std::string words;                         ///< the class, or what the operator does
  const convkit::SummaryRow* row = nullptr;  ///< none for an operator
  std::vector<Item> parts;
  /// Between the parts; kIn is what the module is given, kOut what it gives.
  std::vector<std::pair<int64_t, int64_t>> edges;
  std::string note;  ///< what the edges do not show

  static constexpr int64_t kIn = -1;
  static constexpr int64_t kOut = -2;
};

/// What the summary says of the modules, `depth` levels below the outermost one or all of them, and
/// how the flow connects them. The result points into the summary.
Item diagram(const convkit::Summary& summary, const Flow& flow, int64_t depth);

}  // namespace draw

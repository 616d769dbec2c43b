#include "diagram.h"

#include "reach.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace draw {
namespace {

/// "layer1.0" in "layer1" -> "0".
std::string first_below(const std::string& path, const std::string& outer) {
  const std::size_t begin = outer.empty() ? 0 : outer.size() + 1;
  return path.substr(begin, path.find('.', begin) - begin);
}

/// What stands in one box: calls, or operators, or parts of a module that was not called itself.
struct Event {
  int64_t time = 0;
  int64_t call = -1;
  int64_t operation = -1;
};

using Events = std::vector<Event>;

struct Part {
  std::string path;  // of a module; empty for an operator
  Events events;
  bool called = false;  // the module itself
};

class Maker {
 public:
  Maker(const convkit::Summary& summary, const Flow& flow, int64_t depth)
      : summary_(summary), flow_(flow), depth_(depth) {
    for (const auto& row : summary.rows) rows_[row.path] = &row;
    for (std::size_t i = 0; i < flow.calls.size(); ++i) {
      if (flow.calls[i].outer < 0) continue;
      inside_[flow.calls[i].outer].push_back(
          {.time = flow.calls[i].time, .call = static_cast<int64_t>(i)});
    }
    for (std::size_t i = 0; i < flow.operations.size(); ++i) {
      const Operation& operation = flow.operations[i];
      inside_[operation.call].push_back(
          {.time = operation.time, .operation = static_cast<int64_t>(i)});
    }
    for (auto& [call, events] : inside_) {
      std::stable_sort(events.begin(), events.end(),
                       [](const Event& a, const Event& b) { return a.time < b.time; });
    }
  }

  Item make(const std::string& path, const Events& events) {
    Item item;
    item.row = rows_.at(path);
    item.path = path;
    item.name = path.substr(path.rfind('.') + 1);
    item.words = item.row->type;
    item.kind = kind_of(item.words);
    if (depth_ >= 0 && item.row->depth >= depth_) return item;
    std::vector<Part> parts = parts_of(path, events);
    const bool has_modules = std::any_of(parts.begin(), parts.end(),
                                         [](const Part& part) { return !part.path.empty(); });
    if (!has_modules && !has_inferred(path)) return item;
    connect(item, parts);
    for (const Part& part : parts) {
      item.parts.push_back(part.path.empty() ? operator_item(path, part)
                                             : make(part.path, events_in(part)));
    }
    thin_out(item);
    note_unseen(item);
    return item;
  }

  Events of_call(int64_t call) const {
    const auto found = inside_.find(call);
    return found == inside_.end() ? Events() : found->second;
  }

 private:
  Events events_in(const Part& part) const {
    return part.called ? of_call(part.events[0].call) : part.events;
  }

  bool has_inferred(const std::string& path) const {
    return std::any_of(summary_.rows.begin(), summary_.rows.end(),
                       [&](const auto& row) { return row.inferred && is_within(row.path, path); });
  }

  /// A reshape of what was just reshaped is one with that.
  Part* reshaped_before(std::vector<Part>& parts, const Event& event) const {
    const auto is_reshape = [&](int64_t operation) {
      const Words* words = known_words(flow_.operations[static_cast<std::size_t>(operation)].name);
      return words != nullptr && words->words == "reshape";
    };
    if (parts.empty() || !parts.back().path.empty() || !is_reshape(event.operation)) return nullptr;
    const int64_t before = parts.back().events.back().operation;
    const auto& inputs = flow_.operations[static_cast<std::size_t>(event.operation)].inputs;
    return is_reshape(before) && inputs == std::vector<int64_t>{before} ? &parts.back() : nullptr;
  }

  std::vector<Part> parts_of(const std::string& path, const Events& events) const {
    std::vector<Part> parts;
    std::map<std::string, std::size_t> uncalled;
    for (const Event& event : events) {
      if (event.call < 0) {
        if (Part* part = reshaped_before(parts, event)) {
          part->events.push_back(event);
        } else {
          parts.push_back({.path = "", .events = {event}});
        }
        continue;
      }
      const std::string& called = flow_.calls[static_cast<std::size_t>(event.call)].path;
      std::string part = called;
      if (is_within(called, path)) {
        part = (path.empty() ? "" : path + ".") + first_below(called, path);
      }
      if (part == called) {
        parts.push_back({.path = called, .events = {event}, .called = true});
        continue;
      }
      const auto [found, added] = uncalled.emplace(part, parts.size());
      if (added) parts.push_back({.path = part, .events = {}});
      parts[found->second].events.push_back(event);
    }
    return parts;
  }

  void place(std::map<int64_t, int64_t>& places, const Event& event, int64_t part) const {
    if (event.operation >= 0) {
      places[event.operation] = part;
      return;
    }
    for (const Event& inner : of_call(event.call)) place(places, inner, part);
  }

  void set_edges(Item& item, const std::vector<Part>& parts) const {
    std::map<int64_t, int64_t> places;  // of each operation
    for (std::size_t i = 0; i < parts.size(); ++i) {
      for (const Event& event : parts[i].events) place(places, event, static_cast<int64_t>(i));
    }
    const auto place_of = [&](int64_t operation, int64_t otherwise) {
      const auto found = places.find(operation);
      return found == places.end() ? otherwise : found->second;
    };
    std::set<std::pair<int64_t, int64_t>> edges;
    for (std::size_t i = 0; i < flow_.operations.size(); ++i) {
      const int64_t to = place_of(static_cast<int64_t>(i), Item::kOut);
      for (const int64_t input : flow_.operations[i].inputs) {
        const int64_t from = place_of(input, Item::kIn);
        if (from != to && (from >= 0 || to >= 0)) edges.emplace(from, to);
      }
    }
    const int64_t last = place_of(flow_.output, Item::kIn);
    if (last >= 0) edges.emplace(last, Item::kOut);
    item.edges.assign(edges.begin(), edges.end());
  }

  /// The edges between the parts. What runs between two parts of a module that was not called itself
  /// belongs into that one.
  void connect(Item& item, std::vector<Part>& parts) const {
    while (true) {
      set_edges(item, parts);
      const Reach reach(parts.size(), item.edges);
      bool moved = false;
      for (std::size_t i = 0; i < parts.size() && !moved; ++i) {
        for (std::size_t j = 0; j < parts.size() && !moved; ++j) {
          const bool between = i != j && reach(i, j) && reach(j, i);
          if (!between || parts[i].path.empty() || parts[i].called || !parts[j].path.empty()) {
            continue;
          }
          parts[i].events.insert(parts[i].events.end(), parts[j].events.begin(),
                                 parts[j].events.end());
          std::sort(parts[i].events.begin(), parts[i].events.end(),
                    [](const Event& a, const Event& b) { return a.time < b.time; });
          parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(j));
          moved = true;
        }
      }
      if (moved) continue;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!reach(i, i)) continue;
        item.edges.clear();
        item.note = "its parts run in turns, which is not drawn";
      }
      return;
    }
  }

  Item operator_item(const std::string& path, const Part& part) {
    const std::string& name =
        flow_.operations[static_cast<std::size_t>(part.events[0].operation)].name;
    Item item;
    const Words* words = known_words(name);
    item.words = words != nullptr ? std::string(words->words) : name;
    item.kind = words != nullptr && !words->type.empty() ? kind_of(std::string(words->type))
                                                         : Kind::kOperator;
    if (item.kind == Kind::kModule) item.kind = Kind::kOperator;
    if (words == nullptr || words->type.empty()) return item;
    for (const auto& row : summary_.rows) {
      if (!row.inferred || row.type != words->type || !is_within(row.path, path)) continue;
      if (first_below(row.path, path).size() + (path.empty() ? 0 : path.size() + 1) !=
          row.path.size()) {
        continue;
      }
      if (shown_[&row]++ >= row.calls) continue;
      item.row = &row;
      item.path = row.path;
      item.name = row.path.substr(row.path.rfind('.') + 1);
      item.words = row.type;
      break;
    }
    return item;
  }

  /// Names the parts without a box: no call of theirs was seen.
  void note_unseen(Item& item) const {
    std::set<std::string> shown;
    for (const Item& part : item.parts) shown.insert(part.path);
    std::string names;
    for (const auto& row : summary_.rows) {
      const bool is_part = row.depth == item.row->depth + 1 && is_within(row.path, item.path);
      if (!is_part || row.calls > 0 || shown.contains(row.path)) continue;
      names += (names.empty() ? "" : ", ") + first_below(row.path, item.path);
    }
    if (names.empty()) return;
    item.note += (item.note.empty() ? "" : "; ") + ("no call seen of " + names);
  }

  const convkit::Summary& summary_;
  const Flow& flow_;
  int64_t depth_;
  std::map<std::string, const convkit::SummaryRow*> rows_;
  std::map<int64_t, Events> inside_;  // of each call
  std::map<const convkit::SummaryRow*, int64_t> shown_;
};

}  // namespace

Item diagram(const convkit::Summary& summary, const Flow& flow, int64_t depth) {
  Maker maker(summary, flow, depth);
  return maker.make("", maker.of_call(0));
}

}  // namespace draw

#pragma once

#include "compile/plan/step.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace convkit::detail {

/// A program of steps on values, as one tape begins it and the passes of plan/ change it. Steps stand in
/// the order in which they run: what a step reads, one before it makes, or it is an input or a constant.
class Graph {
 public:
  Graph() = default;
  explicit Graph(const Tape& tape);

  std::vector<Value> values;  ///< the inputs come first
  std::vector<Step> steps;
  std::vector<int64_t> outputs;
  std::size_t input_count = 0;
  std::vector<Storage> storages;  ///< of the tape; a value that a pass makes has none of them
  /// The values whose memory counts: operators write it in place, or look at it by strides. Those that are
  /// views of such are among them.
  std::set<int64_t> overwritten;
  bool sees_input_memory = false;  ///< the forward looks at an input's memory by strides
  bool exact = false;  ///< nothing is fused, and every tensor has the layout that was recorded
  std::map<std::string, int64_t> notes;  ///< what passes did, and how often: "fused relu"
  std::vector<std::string> remarks;      ///< why something was not done

  [[nodiscard]] Value& value(int64_t id) { return values.at(static_cast<std::size_t>(id)); }
  [[nodiscard]] const Value& value(int64_t id) const {
    return values.at(static_cast<std::size_t>(id));
  }

  /// Whether a value is the same for all inputs, and known.
  [[nodiscard]] bool is_constant(int64_t id) const {
    return id >= 0 && !value(id).tainted && value(id).tensor.defined();
  }
  /// Whether a value is its numbers alone: nothing writes to it after it was made, nor looks at its memory.
  [[nodiscard]] bool is_pure(int64_t id) const { return !overwritten.contains(id); }
  /// Whether a step reads or makes memory that counts.
  [[nodiscard]] bool is_raw(const Step& step) const;

  /// A new value with memory of its own, which depends on the inputs.
  int64_t new_value(std::vector<int64_t> sizes, torch::Dtype dtype);
  /// Gives a value memory that it shares with no other.
  void give_own_memory(int64_t id);

  void note(const std::string& what, int64_t times = 1) { notes[what] += times; }

  /// Says for each value which step makes it (steps.size() for inputs and constants), and how often steps
  /// and the program's results use it, as the steps are now.
  struct Links {
    std::vector<std::size_t> makers;
    std::vector<int64_t> uses;
  };
  [[nodiscard]] Links links() const;

  /// Lists for each step the values that are used there for the last time. The program's results are
  /// never among them.
  [[nodiscard]] std::vector<std::vector<int64_t>> last_uses() const;
};

/// Values that go on under the name of another one. A pass that walks the steps in their order gives
/// each its new names once, instead of looking for a name in all of them.
class Renaming {
 public:
  explicit Renaming(const Graph& graph) : names_(graph.values.size(), kItself) {}

  void rename(int64_t from, int64_t to);
  [[nodiscard]] int64_t operator()(int64_t id) const;
  void apply(Step& step) const;
  void apply(std::vector<int64_t>& ids) const;

 private:
  static constexpr int64_t kItself = -1;
  std::vector<int64_t> names_;
};

/// A line for each input, weight and step, and the results.
std::string text_of(const Graph& graph);

}  // namespace convkit::detail

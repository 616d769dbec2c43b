#pragma once

#include <convkit/lr_scheduler.h>

#include <c10/util/Exception.h>

#include <cmath>
#include <string>
#include <vector>

namespace convkit::optim::detail {

/// Writes what a schedule is into a tree, or reads it from one: first without taking it, so that a
/// tree that lacks something changes nothing.
class ScheduleFields {
 public:
  enum class Mode { kWrite, kCheck, kTake };

  ScheduleFields(Mode mode, Tree& written, const Tree& read)
      : mode_(mode), written_(written), read_(read) {}

  bool writes() const { return mode_ == Mode::kWrite; }

  /// Takes whole numbers from `least` on, below it nothing that a step divides by.
  void operator()(const char* name, int64_t& field, int64_t least = -kMost) {
    // Python has 3 and 3.0 for one number, in places.
    exchange(
        name, field, [](int64_t value) { return Tree(value); },
        [&](const Tree& tree) {
          const double number = tree.number();
          const bool whole = std::abs(number) <= static_cast<double>(kMost) &&
                             number == std::floor(number) && number >= static_cast<double>(least);
          TORCH_CHECK_VALUE(whole, "load_state_dict: expected a whole number ", name,
                            least == -kMost ? "" : " >= " + std::to_string(least), ", got ",
                            number);
          return static_cast<int64_t>(number);
        });
  }
  void operator()(const char* name, double& field) {
    exchange(
        name, field, [](double value) { return Tree(value); },
        [](const Tree& tree) { return tree.number(); });
  }
  void operator()(const char* name, bool& field) {
    exchange(
        name, field, [](bool value) { return Tree(value); },
        [](const Tree& tree) { return tree.boolean(); });
  }
  void operator()(const char* name, std::string& field) {
    exchange(
        name, field, [](const std::string& value) { return Tree(value); },
        [](const Tree& tree) { return tree.text(); });
  }
  void operator()(const char* name, std::vector<double>& field) {
    exchange(
        name, field, [](const std::vector<double>& value) { return Tree::numbers(value); },
        [&](const Tree& tree) {
          std::vector<double> result = tree.numbers();
          check_size(name, field.size(), result.size());
          return result;
        });
  }
  void operator()(const char* name, std::vector<int64_t>& field) {
    exchange(
        name, field,
        [](const std::vector<int64_t>& value) { return Tree::list({value.begin(), value.end()}); },
        [&](const Tree& tree) {
          std::vector<int64_t> result;
          for (const Tree& item : tree.items()) result.push_back(item.integer());
          check_size(name, field.size(), result.size());
          return result;
        });
  }
  template <typename Field, typename Write, typename Read>
  void exchange(const char* name, Field& field, const Write& write, const Read& read) {
    if (writes()) {
      written_.set(name, write(field));
    } else {
      Field value = read(read_.at(name));
      if (mode_ == Mode::kTake) field = std::move(value);
    }
  }
  /// What Python has besides, and nobody reads.
  void constant(const char* name, const Tree& value) {
    if (writes()) written_.set(name, value);
  }
  template <typename Schedules>
  void nested(const char* name, const Schedules& schedules) {
    Tree list = Tree::list();
    for (std::size_t i = 0; i < schedules.size(); ++i) {
      Schedule& schedule = *schedules[i];
      if (writes()) {
        list.add(schedule.state_dict());
        continue;
      }
      const std::vector<Tree>& items = read_.at(name).items();
      TORCH_CHECK_VALUE(items.size() == schedules.size(), "SequentialLR: expected ",
                        schedules.size(), " schedules, got ", items.size());
      ScheduleFields fields(mode_, list, items[i]);
      schedule.fields(fields);
    }
    constant(name, list);
  }

 private:
  static constexpr int64_t kMost = int64_t{1} << 53;  // a double has each whole number up to it

  static void check_size(const char* name, std::size_t own, std::size_t saved) {
    TORCH_CHECK_VALUE(saved == own, "load_state_dict: expected ", own, " numbers in ", name,
                      ", as this schedule has, got ", saved);
  }

  Mode mode_;
  Tree& written_;
  const Tree& read_;
};

}  // namespace convkit::optim::detail

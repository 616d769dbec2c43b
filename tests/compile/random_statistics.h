#pragma once

#include <convkit/compile.h>

#include "compile/random_check.h"

#include <cstdint>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// What was seen of the random modules of a run.
class RandomStatistics {
 public:
  void add_module(const RandomModule& module);
  /// What compile() made of the module that was added last.
  void add_plans(bool onednn, const std::vector<convkit::PlanExplanation>& plans);
  void add_failure(const std::string& key) { ++failures_[key]; }
  /// A failure of the operators that are named, as small as it gets.
  void add_example(const std::string& operators, const std::string& text);

  /// The number of LibTorch's operators in all plans: "conv2d".
  [[nodiscard]] std::size_t operator_count() const { return operators_.size(); }
  [[nodiscard]] int64_t refused() const;
  [[nodiscard]] int64_t wrong() const;  ///< the other failures
  /// The shares, of 0 to 1, of the plans for oneDNN that it does not compute at all, and of the
  /// multiplications of convolutions and linear layers that it computes.
  [[nodiscard]] double share_without_onednn() const;
  [[nodiscard]] double share_of_macs() const;

  /// A table of all of it.
  void write(std::ostream& to) const;

 private:
  using Counts = std::map<std::string, int64_t>;
  static void write(std::ostream& to, const std::string& title, const Counts& counts);

  int64_t modules_ = 0;
  Counts steps_;      ///< of modules, by the name that they have here
  Counts operators_;  ///< of plans
  Counts failures_;   ///< of all kinds
  std::map<std::string, std::pair<int64_t, std::string>>
      examples_;        ///< how often, the smallest text
  Counts engines_;      ///< with oneDNN
  Counts others_;       ///< without
  Counts remarks_;      ///< with oneDNN
  Counts by_libtorch_;  ///< convolutions and linear layers that oneDNN did not compute, and why
  int64_t macs_ = 0;    ///< of convolutions and linear layers
  int64_t onednn_macs_ = 0;
};

}  // namespace support

#pragma once

#include "compile/engines/engine.h"
#include "compile/tape/tape.h"

#include <torch/nn/module.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace convkit::detail {

/// Proves that a plan computes what the module does: it holds the plan to the module's results for the example
/// and for other inputs of its sizes, types and layouts, of several scales.
///
/// An operator that compares, rounds, sorts or divides makes large differences of those in the last bits. Where the
/// results are not near enough, the plan is held to what it gives such operators ("taps"), and then to what the
/// module makes of just that.
class Proof {
 public:
  /// What the same operators on the same numbers may differ by: their sums have another order at another address.
  static constexpr double kSameOperators = 1e-6;

  /// Records the forward with `inputs` and with others. Throws Refusal unless both give one program, and
  /// unless replaying it for the others gives the module's bits; and what the module throws.
  Proof(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs);

  [[nodiscard]] const Tape& tape() const { return tape_; }

  /// What it could not prove.
  [[nodiscard]] const std::vector<std::string>& remarks() const { return remarks_; }

  /// How near an engine has to come to the module.
  struct Accuracy {
    double tolerance =
        0;  ///< the difference that is allowed, in parts of the largest number of each result
    /// Where that is not enough: ten times what the module itself makes of this part of its inputs, as noise or of all alike.
    double rounding = 0;  ///< none for an exact plan
  };

  /// Throws c10::Error where an engine's results differ more from the module's. Gives the time of its fastest run,
  /// in parts of the fastest one of the module's own operators, which is not known for a module of whole numbers.
  double check(Engine& engine, const Accuracy& accuracy) const;

  /// The largest difference of an engine's results from the module's, in parts of the largest number of each.
  [[nodiscard]] double distance(Engine& engine) const;

  /// How many times as long as the module's own operators an engine takes: medians of runs in turn.
  [[nodiscard]] double relative_time(Engine& engine) const;

 private:
  struct Trial {
    Tensors inputs;
    Tensors expected;
  };
  /// What a plan gave the tape's operators, by their places.
  using Taps = std::map<int64_t, Tensors>;

  Trial recorded_with_others(const torch::nn::Module& module, const Forward& forward,
                             const Tensors& inputs);
  void add_scaled(double scale);
  void find_dead_results();
  [[nodiscard]] bool is_tapped(const Operation& operation) const;
  [[nodiscard]] bool varies(int64_t id) const;
  [[nodiscard]] std::optional<std::string> difference_by_parts(const Tensors& inputs,
                                                               const Tensors& found,
                                                               const Taps& taps,
                                                               const Accuracy& accuracy) const;
  Tensors run(Engine& engine, const Tensors& inputs, Taps* taps) const;
  [[nodiscard]] Tensors reference(const Tensors& inputs, const Taps& taps) const;

  Tape tape_;
  std::vector<Trial> trials_;  ///< those of random inputs come first, the example last
  std::vector<std::string> remarks_;
  double fastest_replay_ = std::numeric_limits<double>::infinity();
};

}  // namespace convkit::detail

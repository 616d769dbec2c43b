#pragma once

#include <convkit/compare.h>

#include <cstdint>
#include <optional>
#include <string>

namespace convkit {

/// What compare_training() found.
struct CONVKIT_API TrainingComparison {
  bool equal = false;                 ///< all steps are, to the bit or within the tolerance
  int64_t steps = 0;                  ///< recorded
  std::optional<int64_t> first_step;  ///< that differs, counted from 1
  /// What differs first in it: "loss", before the step, or the key of a weight or buffer after it;
  /// empty where the step could not be taken.
  std::string first_difference;
  std::string reason;  ///< what the step throws, or both losses
  /// The step after the first that differs of which the recording has whole tensors, and the first of
  /// these that differs; if the step could not be taken, there is none.
  std::optional<int64_t> measured_step;
  ComparisonRow measured;

  /// Says in one line what differs first.
  [[nodiscard]] std::string text() const;
  /// Gives all of it as JSON.
  [[nodiscard]] std::string json() const;

  explicit operator bool() const { return equal; }
};

/// Prints the text.
CONVKIT_API std::ostream& operator<<(std::ostream& stream, const TrainingComparison& comparison);

/// Runs the training that `record.py --steps` has recorded again: from the recorded weights, with the
/// recorded inputs, targets and seeds, and the optimizer of optim.h with the recorded options. It
/// compares each loss, after each step the hashes of all weights and buffers, and the tensors
/// themselves where they are recorded. It ends at the first of these after a difference. With a
/// tolerance hashes are not compared. The module is left in eval mode, trained.
///
///     auto comparison =
///         convkit::compare_training(*net, convkit::load_recording("resnet18.safetensors"));
///     std::cout << comparison;  // training: 50 of 50 steps equal
///
/// Throws:  c10::ValueError for a recording without steps, of several inputs, or with an optimizer or
///          options that optim.h does not have, for weights that do not fit the module, and for a
///          negative tolerance.
CONVKIT_API TrainingComparison compare_training(torch::nn::Module& module,
                                                const Recording& recording,
                                                const CompareOptions& options = {});

/// Does the same for a module of several inputs or outputs: `forward` runs it as a whole.
CONVKIT_API TrainingComparison compare_training(torch::nn::Module& module,
                                                const ForwardFunction& forward,
                                                const Recording& recording,
                                                const CompareOptions& options = {});

}  // namespace convkit

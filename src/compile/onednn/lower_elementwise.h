#pragma once

#include "compile/onednn/lowering.h"

#include <optional>

/// Operators on each element by oneDNN. Each function is false for what it cannot compute.
namespace convkit::detail {

/// An activation as oneDNN has it.
struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0;
  float beta = 0;
};
/// Nothing for an operator that oneDNN does not have.
std::optional<Eltwise> eltwise_of(const Operation& operation);

/// An activation as our own loops have it; nothing for another one.
std::optional<lanes::LaneActivation> activation_of(const std::optional<Operation>& operation);

/// The same where our own loop over this value is better than oneDNN's kernels.
std::optional<lanes::LaneActivation> own_activation(Lowering& lowering, const Operation& operation,
                                                    int64_t value);

/// Lets our own loop follow: it may write where it reads.
void add_activation(Lowering& lowering, const lanes::LaneActivation& activation, const Slot& from,
                    const Slot& to, StepExplanation explanation);

bool lower_activation(Lowering& lowering, const Operation& operation);
/// A sum, difference or product of two tensors of float32, of which the second one may be broadcast.
bool lower_binary(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

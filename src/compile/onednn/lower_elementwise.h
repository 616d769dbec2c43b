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

bool lower_activation(Lowering& lowering, const Operation& operation);
/// A sum, difference or product of two tensors of float32, of which the second one may be broadcast.
bool lower_binary(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

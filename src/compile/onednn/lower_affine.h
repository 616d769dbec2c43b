#pragma once

#include "compile/onednn/lowering.h"

/// Operators with a number for each channel, by oneDNN. Each function is false for what it cannot compute.
namespace convkit::detail {

bool lower_affine(Lowering& lowering, const Affine& affine);
bool lower_prelu(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

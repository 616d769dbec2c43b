#pragma once

#include "compile/onednn/lowering.h"

/// Operators that move no element, or put several tensors into one.
namespace convkit::detail {

/// An operator that only looks at its input's memory: nothing to run. False for any other one.
bool lower_view(Lowering& lowering, const Operation& operation);

/// A value in another layout: nothing to run where it lies so already. False for what LibTorch makes.
bool lower_layout(Lowering& lowering, const Copy& copy);

/// The concatenation of images along their channels, by oneDNN; false for any other one.
bool lower_cat(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

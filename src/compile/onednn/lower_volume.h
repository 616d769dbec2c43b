#pragma once

#include "compile/onednn/lowering.h"

namespace convkit::detail {

/// A convolution of volumes [N, C, D, H, W] with constant weights; false for any other one.
bool lower_volume(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

#pragma once

#include "compile/onednn/lowering.h"

/// Enlarging images by oneDNN. Each function is false for what it cannot compute.
namespace convkit::detail {

/// Where the output's size is a multiple of the input's: then oneDNN rounds as LibTorch does.
bool lower_nearest(Lowering& lowering, const Operation& operation);
/// The same without aligned corners, which oneDNN does not know.
bool lower_bilinear(Lowering& lowering, const Operation& operation);
bool lower_pixel_shuffle(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

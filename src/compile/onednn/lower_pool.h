#pragma once

#include "compile/onednn/lowering.h"

/// Pooling of images by oneDNN. Each function is false for what it cannot compute.
namespace convkit::detail {

/// A pooling and the padding before it.
bool lower_padded(Lowering& lowering, const PaddedPool& padded);
bool lower_max_pool(Lowering& lowering, const Operation& operation);
bool lower_average_pool(Lowering& lowering, const Operation& operation);
/// Where the input's size is a multiple of the output's.
bool lower_adaptive_pool(Lowering& lowering, const Operation& operation);
/// mean(x, {2, 3}) of images.
bool lower_mean(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

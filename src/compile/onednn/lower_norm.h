#pragma once

#include "compile/onednn/lowering.h"

namespace convkit::detail {

/// A layer norm over the channels of images, by oneDNN.
bool lower_norm(Lowering& lowering, const ChannelNorm& norm);
/// A layer norm over the last dimensions, with constant weights; false for any other one.
bool lower_layer_norm(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

#pragma once

#include "compile/onednn/lowering.h"

namespace convkit::detail {

/// A layer norm over the channels of images, by oneDNN.
bool lower_norm(Lowering& lowering, const ChannelNorm& norm);

}  // namespace convkit::detail

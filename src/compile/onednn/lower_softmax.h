#pragma once

#include "compile/onednn/lowering.h"

namespace convkit::detail {

/// softmax and log_softmax over one dimension of numbers of float32, by oneDNN; false for any other one.
bool lower_softmax(Lowering& lowering, const Operation& operation);

}  // namespace convkit::detail

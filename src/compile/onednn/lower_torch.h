#pragma once

#include "compile/onednn/lowering.h"

#include <string>

namespace convkit::detail {

/// Leaves a step to LibTorch's operators; `why` says what oneDNN said of it, if it was tried. The step is
/// run once, on ones: that tells how it lays out its results, and of which inputs they are views. Where that fails, its
/// results lie as they were recorded, and may be views of any input.
void lower_to_torch(Lowering& lowering, const Step& step, const std::string& why);

}  // namespace convkit::detail

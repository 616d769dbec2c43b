#pragma once

#include "compile/engines/engine.h"

#include <memory>

namespace convkit::detail {

/// By LibTorch's operators: the plan's own, and for convolutions the fused ones that LibTorch makes of
/// oneDNN's and cuDNN's. An exact plan has the module's own bits, so none of them.
std::unique_ptr<Engine> make_torch_engine(Graph plan, const EngineOptions& options);

}  // namespace convkit::detail

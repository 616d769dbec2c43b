#pragma once

#include "compile/engines/engine.h"

#include <memory>

namespace convkit::detail {

/// An engine that runs LibTorch's operators: the plan's own, and for convolutions the fused ones that
/// LibTorch makes of oneDNN's and cuDNN's. It uses none of these for an exact plan, whose results have the
/// module's own bits.
std::unique_ptr<Engine> make_torch_engine(Graph plan, const Tensors& example,
                                          const EngineOptions& options);

}  // namespace convkit::detail

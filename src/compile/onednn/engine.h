#pragma once

#include "compile/engines/engine.h"

#include <memory>

namespace convkit::detail {

/// Whether convkit was built with oneDNN.
bool has_onednn();

/// An engine that runs oneDNN's primitives, made once, in one block of memory, and LibTorch's operators
/// where oneDNN has none. Throws c10::Error where it cannot be made, and where convkit was built without
/// oneDNN.
std::unique_ptr<Engine> make_onednn_engine(const Graph& plan, const Tensors& example,
                                           const EngineOptions& options);

}  // namespace convkit::detail

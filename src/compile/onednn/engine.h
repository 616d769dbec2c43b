#pragma once

#include "compile/engines/engine.h"

#include <memory>

namespace convkit::detail {

/// Whether convkit was built with oneDNN.
bool has_onednn();

/// By oneDNN's primitives, made once, in one block of memory; by LibTorch's operators where oneDNN has
/// none. Throws c10::Error where it cannot, and where convkit was built without oneDNN.
std::unique_ptr<Engine> make_onednn_engine(const Graph& plan, const Tensors& example,
                                           const EngineOptions& options);

}  // namespace convkit::detail

#pragma once

#include "compile/engines/engine.h"

#include <memory>

namespace convkit::detail {

/// An engine on CUDA as a CUDA graph, which starts all its kernels by one call; the engine itself where it
/// cannot be captured. It is there only where LibTorch has CUDA.
std::unique_ptr<Engine> make_cuda_graph(std::unique_ptr<Engine> engine, const Tensors& example);

}  // namespace convkit::detail

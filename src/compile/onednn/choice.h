#pragma once

#include "compile/onednn/lowering.h"

namespace convkit::detail {

/// The alternative that computes a convolution of images: the one that was given; else the one that fixed
/// rules name, unless another one was measured to be faster. Equal shapes of a plan have the same one. The
/// program remembers it.
Alternative choose(Lowering& lowering, const Convolution& convolution);

/// The largest tile of Winograd's algorithm that a convolution may take; 0 for none.
int64_t largest_tile(const EngineOptions& options, const Geometry& geometry);

/// What fixed rules name, which follow from the shape and the processor's instructions alone.
Alternative by_rule(const Geometry& geometry, torch::Dtype dtype);

}  // namespace convkit::detail

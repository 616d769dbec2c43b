#pragma once

#include "compile/plan/graph.h"

namespace convkit::detail {

/// conv(cat(a, b)) = conv(a) + conv(b), which needs no concatenation: where a convolution alone uses one of
/// two images.
void split_concatenations(Graph& graph);

}  // namespace convkit::detail

#pragma once

#include "layers/regions.h"

#include <torch/types.h>

#include <tuple>

/// The kernel of the largest pixels in boxes of a map, and of its gradient.
namespace convkit::detail {

/// The largest pixel of each bin, and its place in its channel as int32, -1 without one.
std::tuple<torch::Tensor, torch::Tensor> roi_pool_cpu(const torch::Tensor& input,
                                                      const torch::Tensor& boxes,
                                                      const RegionPooling& pooling);
torch::Tensor roi_pool_backward_cpu(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                    const torch::Tensor& places, const RegionPooling& pooling,
                                    torch::IntArrayRef input_sizes);

}  // namespace convkit::detail

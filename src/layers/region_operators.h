#pragma once

#include "layers/regions.h"

#include <torch/types.h>

#include <cstdint>
#include <tuple>

/// The kernels of operators on boxes of a map, and of their gradients by the map.
namespace convkit::detail {

torch::Tensor roi_align_cpu(const torch::Tensor& input, const torch::Tensor& boxes,
                            const RegionPooling& pooling);
torch::Tensor roi_align_backward_cpu(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                     const RegionPooling& pooling, torch::IntArrayRef input_sizes);

/// The pooled map, and the channel of the input that each of its elements is of, as int32.
std::tuple<torch::Tensor, torch::Tensor> ps_roi_align_cpu(const torch::Tensor& input,
                                                          const torch::Tensor& boxes,
                                                          const RegionPooling& pooling);
torch::Tensor ps_roi_align_backward_cpu(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                        const RegionPooling& pooling,
                                        torch::IntArrayRef input_sizes);

}  // namespace convkit::detail

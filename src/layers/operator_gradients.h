#pragma once

#include "layers/deformable_sizes.h"
#include "layers/regions.h"

#include <torch/types.h>

#include <tuple>

/// The operators as autograd sees them: each calls itself below autograd, and the operator of its
/// gradient when that is asked for.
namespace convkit::detail {

torch::Tensor roi_align_autograd(const torch::Tensor& input, const torch::Tensor& boxes,
                                 const RegionPooling& pooling);
std::tuple<torch::Tensor, torch::Tensor> roi_pool_autograd(const torch::Tensor& input,
                                                           const torch::Tensor& boxes,
                                                           const RegionPooling& pooling);
std::tuple<torch::Tensor, torch::Tensor> ps_roi_align_autograd(const torch::Tensor& input,
                                                               const torch::Tensor& boxes,
                                                               const RegionPooling& pooling);
torch::Tensor deform_conv2d_autograd(const DeformableTensors& tensors,
                                     const DeformableOptions& options);

}  // namespace convkit::detail

#pragma once

#include "layers/deformable_sizes.h"

#include <torch/types.h>

/// The kernel of a deformable convolution, and of its gradients.
namespace convkit::detail {

/// Throws c10::ValueError for shapes, types and options that do not fit.
torch::Tensor deform_conv2d_cpu(const DeformableTensors& tensors, const DeformableOptions& options);

/// The gradients by each tensor.
DeformableTensors deform_conv2d_backward_cpu(const torch::Tensor& gradient,
                                             const DeformableTensors& tensors,
                                             const DeformableOptions& options);

}  // namespace convkit::detail

#pragma once

#include <ATen/ScalarOps.h>
#include <torch/types.h>

namespace convkit::detail {

/// Python's `tensor.mul_(number)`. LibTorch's mul_ of a number has the number as the first factor,
/// which its kernels round to half precision before they multiply.
inline torch::Tensor multiply_(const torch::Tensor& tensor, double number) {
  return tensor.mul_(at::native::wrapped_scalar_tensor(number));
}

}  // namespace convkit::detail

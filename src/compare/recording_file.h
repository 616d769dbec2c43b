#pragma once

#include <torch/types.h>

#include <cstdint>

/// What a recording's file says of tensors, beside the tensors themselves.
namespace convkit::detail {

/// The hash of a tensor's bytes that record.py writes: tensors that differ in one byte have two.
int64_t hash(const torch::Tensor& tensor);

}  // namespace convkit::detail

#pragma once

#include <torch/types.h>

#include <cstdint>

namespace convkit::detail {

/// Refuses types other than uint8, signed integers, floating point and bool.
void check_type(const char* name, torch::Dtype dtype);

/// The bits of a whole number from 0 to the type's largest one, 8 of uint8 and 15 of int16.
int64_t value_bits(torch::Dtype dtype);

/// Refuses types other than uint8, signed integers and floating point.
void check_numeric(const char* name, torch::Dtype dtype);

/// The largest finite number of floating point, or of the parts of a complex number.
double largest_finite(torch::Dtype dtype);

/// White, in an image of this type: 1 of floating point and bool.
int64_t largest(torch::Dtype dtype);

}  // namespace convkit::detail

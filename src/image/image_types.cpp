#include "image/image_types.h"

#include <convkit/transforms.h>

#include "core/wrapped.h"

#include <ATen/core/TensorBody.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Exception.h>
#include <c10/util/Half.h>

#include <limits>

namespace convkit::detail {

void check_type(const char* name, torch::Dtype dtype) {
  const bool whole = dtype == torch::kByte || dtype == torch::kChar || dtype == torch::kShort ||
                     dtype == torch::kInt || dtype == torch::kLong;
  TORCH_CHECK_VALUE(whole || dtype == torch::kBool || c10::isFloatingType(dtype), name,
                    ": expected uint8, a signed integer, floating point or bool, got ", dtype);
}

void check_numeric(const char* name, torch::Dtype dtype) {
  const bool numeric = dtype == torch::kByte || dtype == torch::kChar || dtype == torch::kShort ||
                       dtype == torch::kInt || dtype == torch::kLong || c10::isFloatingType(dtype);
  TORCH_CHECK_VALUE(numeric, name, ": expected uint8, a signed integer or floating point, got ",
                    dtype);
}

double largest_finite(torch::Dtype dtype) {
  switch (c10::toRealValueType(dtype)) {
    case torch::kHalf:
      return std::numeric_limits<c10::Half>::max();
    case torch::kBFloat16:
      return std::numeric_limits<c10::BFloat16>::max();
    case torch::kFloat:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

int64_t value_bits(torch::Dtype dtype) {
  const int64_t bits = 8 * static_cast<int64_t>(c10::elementSize(dtype));
  return dtype == torch::kByte ? bits : bits - 1;
}

int64_t largest(torch::Dtype dtype) {
  if (c10::isFloatingType(dtype) || dtype == torch::kBool) return 1;
  return static_cast<int64_t>((uint64_t{1} << value_bits(dtype)) - 1);
}

}  // namespace convkit::detail

namespace convkit::transforms {

using torch::Tensor;

Tensor to_dtype(const Tensor& image, torch::Dtype dtype, bool scale) {
  TORCH_CHECK_VALUE(image.defined(), "to_dtype: expected an image, got an undefined tensor");
  const torch::Dtype from = image.scalar_type();
  detail::check_type("to_dtype", from);
  detail::check_type("to_dtype", dtype);
  if (from == dtype) return image;
  const bool to_floating = c10::isFloatingType(dtype);
  if (!scale || (image.is_floating_point() && to_floating)) return image.to(dtype);
  if (image.is_floating_point()) {
    TORCH_CHECK_VALUE(!(dtype == torch::kLong || (dtype == torch::kInt && from == torch::kFloat)) ||
                          (from != torch::kFloat && from != torch::kDouble),
                      "to_dtype: expected a type whose numbers ", from, " has, got ", dtype);
    // Of equal parts of the range from 0 to 1, each becomes one of the whole numbers.
    return image.mul(static_cast<double>(detail::largest(dtype)) + 1.0 - 1e-3).to(dtype);
  }
  if (to_floating) {
    return detail::multiply_(image.to(dtype), 1.0 / static_cast<double>(detail::largest(from)));
  }
  TORCH_CHECK_VALUE(from != torch::kBool && dtype != torch::kBool,
                    "to_dtype: expected whole numbers to scale, got ", from, " and ", dtype,
                    "; scale by floating point");
  const int64_t less = detail::value_bits(from) - detail::value_bits(dtype);
  if (less > 0) return image.bitwise_right_shift(less).to(dtype);
  return image.to(dtype).bitwise_left_shift_(-less);
}

}  // namespace convkit::transforms

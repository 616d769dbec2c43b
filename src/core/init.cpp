#include <convkit/init.h>

#include "core/check.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/where.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <cmath>

namespace convkit {

torch::Tensor icnr_(torch::Tensor weight, int64_t scale_factor) {
  detail::check_positive("icnr_", "scale_factor", scale_factor);
  TORCH_CHECK_VALUE(weight.defined() && weight.dim() == 4,
                    "icnr_: expected the weight [out_channels, in_channels, kernel_height, "
                    "kernel_width] of a Conv2d, got ",
                    weight.defined() ? c10::str(weight.sizes()) : "an undefined tensor");
  const int64_t pixels = scale_factor * scale_factor;
  TORCH_CHECK_VALUE(weight.size(0) % pixels == 0,
                    "icnr_: expected out_channels divisible by scale_factor^2 = ", pixels, ", got ",
                    weight.size(0));
  const torch::NoGradGuard no_grad;
  // The filters are drawn in float32 on the CPU, as torch.nn.init draws for a new layer, whatever
  // the weight's type is.
  torch::Tensor filters = torch::empty(
      {weight.size(0) / pixels, weight.size(1), weight.size(2), weight.size(3)}, torch::kFloat);
  torch::nn::init::kaiming_normal_(filters);
  return weight.copy_(filters.repeat_interleave(pixels, 0));
}

torch::Tensor trunc_normal_(torch::Tensor tensor, double mean, double std, double a, double b) {
  TORCH_CHECK_VALUE(tensor.defined(), "trunc_normal_: expected a tensor, got an undefined one");
  TORCH_CHECK_VALUE(std > 0, "trunc_normal_: expected std > 0, got ", std);
  TORCH_CHECK_VALUE(a <= b, "trunc_normal_: expected a <= b, got ", a, " and ", b);
  const torch::NoGradGuard no_grad;
  const auto below = [&](double x) {
    return (1 + std::erf((x - mean) / std / std::sqrt(2.0))) / 2;
  };
  if (below(b) - below(a) > 0.3) {
    // The tensor's type has these bounds, so that no value is outside by its rounding.
    const auto lo = torch::tensor(a, tensor.scalar_type()).item();
    const auto hi = torch::tensor(b, tensor.scalar_type()).item();
    torch::Tensor result = tensor.normal_(mean, std);
    for (;;) {
      const torch::Tensor outside = (result < lo) | (result > hi);
      if (!outside.any().item<bool>()) break;
      result = at::where(outside, at::empty_like(result).normal_(mean, std), result);
    }
    if (!tensor.is_same(result)) tensor.copy_(result);
    return tensor;
  }
  // So little of the distribution is left that uniform values are accepted by its density.
  const double mode = std::max(a, std::min(mean, b));
  const double log_peak = -0.5 * std::pow((mode - mean) / std, 2);
  torch::Tensor candidates = at::empty_like(tensor);
  torch::Tensor chance = at::empty_like(tensor);
  const auto rejected = [&] {
    candidates.sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak);
    return chance.uniform_().log_().gt(candidates);
  };
  tensor.uniform_(a, b);
  candidates.copy_(tensor);
  torch::Tensor pending = rejected();
  torch::Tensor result = tensor;
  while (pending.any().item<bool>()) {
    candidates.uniform_(a, b);
    result = at::where(pending, candidates, result);
    pending = at::where(pending, rejected(), pending);
  }
  if (!tensor.is_same(result)) tensor.copy_(result);
  return tensor;
}

int64_t make_divisible(double v, int64_t divisor, std::optional<int64_t> min_value,
                       double round_limit) {
  detail::check_positive("make_divisible", "divisor", divisor);
  TORCH_CHECK_VALUE(std::abs(v) < std::pow(2, 53), "make_divisible: expected v below 2^53, got ",
                    v);
  const auto half = static_cast<double>(divisor) / 2;
  // Python's // rounds down.
  const auto multiples =
      static_cast<int64_t>(std::floor(std::trunc(v + half) / static_cast<double>(divisor)));
  const int64_t nearest = std::max(min_value.value_or(divisor), multiples * divisor);
  return static_cast<double>(nearest) < round_limit * v ? nearest + divisor : nearest;
}

}  // namespace convkit

#include <convkit/init.h>

#include "check.h"

#include <torch/nn/init.h>

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
  // In float32 on the CPU, as torch.nn.init draws for a new layer, whatever the weight's type.
  torch::Tensor filters = torch::empty(
      {weight.size(0) / pixels, weight.size(1), weight.size(2), weight.size(3)}, torch::kFloat);
  torch::nn::init::kaiming_normal_(filters);
  return weight.copy_(filters.repeat_interleave(pixels, 0));
}

}  // namespace convkit

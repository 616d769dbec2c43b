#pragma once

#include <convkit/module.h>

#include <torch/types.h>

#include <cstdint>
#include <optional>

namespace convkit {

/// Fills a convolution's weight such that the pixel shuffle after it is, at first, a nearest
/// upsampling: Kaiming-normal filters, each repeated for the scale_factor^2 pixels it becomes.
///
/// Shape:   weight [out_channels scale_factor^2, in_channels, kernel_height, kernel_width]
/// Throws:  c10::ValueError where the first dimension is not divisible by scale_factor^2.
/// Source:  ICNR, https://arxiv.org/abs/1707.02937; monai.networks.utils.icnr_init
CONVKIT_API torch::Tensor icnr_(torch::Tensor weight, int64_t scale_factor);

/// Fills a tensor from the normal distribution of `mean` and `std`, cut at a and b: values outside
/// are drawn again.
///
/// Throws:  c10::ValueError for an undefined tensor, std <= 0, or a > b.
/// Source:  torch.nn.init.trunc_normal_ (2.13), whose random numbers it draws
CONVKIT_API torch::Tensor trunc_normal_(torch::Tensor tensor, double mean = 0, double std = 1,
                                        double a = -2, double b = 2);

/// The multiple of `divisor` next to v, at least `min_value` (by default the divisor) and not below
/// round_limit v.
///
/// Throws:  c10::ValueError for a divisor below 1, or v that is no finite number.
/// Source:  torchvision.models._utils._make_divisible; with a round_limit timm.layers'
CONVKIT_API int64_t make_divisible(double v, int64_t divisor,
                                   std::optional<int64_t> min_value = std::nullopt,
                                   double round_limit = 0.9);

}  // namespace convkit

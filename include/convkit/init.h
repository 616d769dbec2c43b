#pragma once

#include <convkit/module.h>

#include <torch/types.h>

#include <cstdint>

namespace convkit {

/// Fills a convolution's weight such that the pixel shuffle after it is, at first, a nearest
/// upsampling: Kaiming-normal filters, each repeated for the scale_factor^2 pixels it becomes.
///
/// Shape:   weight [out_channels scale_factor^2, in_channels, kernel_height, kernel_width]
/// Throws:  c10::ValueError where the first dimension is not divisible by scale_factor^2.
/// Source:  ICNR, https://arxiv.org/abs/1707.02937; monai.networks.utils.icnr_init
CONVKIT_API torch::Tensor icnr_(torch::Tensor weight, int64_t scale_factor);

}  // namespace convkit

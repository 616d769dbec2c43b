#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/conv.h>

#include <cstdint>

/// The five kinds of convolution of the Q&A, each a torch::nn::Conv2d with a bias. Another kernel
/// size, groups or padding mode is one torch::nn::Conv2dOptions away.
///
/// Shape:   x [N, in_channels, H, W] or [in_channels, H, W]
/// Keys:    weight, bias
/// Throws:  c10::ValueError for a channel count, stride or dilation below 1 or above int32.
/// Source:  torch.nn.Conv2d with the settings of the Q&A's question 3
namespace convkit {

/// 3x3, stride 1, padding 1: y [N, out_channels, H, W].
CONVKIT_API torch::nn::Conv2d standard_conv2d(int64_t in_channels, int64_t out_channels);

/// 3x3, padding 1: y [N, out_channels, ceil(H / stride), ceil(W / stride)].
CONVKIT_API torch::nn::Conv2d strided_conv2d(int64_t in_channels, int64_t out_channels,
                                             int64_t stride = 2);

/// 3x3 over 2 dilation + 1 pixels, padding = dilation: y [N, out_channels, H, W].
CONVKIT_API torch::nn::Conv2d dilated_conv2d(int64_t in_channels, int64_t out_channels,
                                             int64_t dilation = 2);

/// 3x3, padding 1, one filter a channel (groups = channels): y [N, channels, H, W].
CONVKIT_API torch::nn::Conv2d depthwise_conv2d(int64_t channels);

/// 1x1, mixes the channels of each pixel: y [N, out_channels, H, W].
CONVKIT_API torch::nn::Conv2d pointwise_conv2d(int64_t in_channels, int64_t out_channels);

}  // namespace convkit

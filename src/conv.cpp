#include <convkit/conv.h>

#include "check.h"

namespace convkit {

using detail::checked;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;

Conv2d standard_conv2d(int64_t in_channels, int64_t out_channels) {
  return Conv2d(checked("standard_conv2d", Conv2dOptions(in_channels, out_channels, 3).padding(1)));
}

Conv2d strided_conv2d(int64_t in_channels, int64_t out_channels, int64_t stride) {
  return Conv2d(checked("strided_conv2d",
                        Conv2dOptions(in_channels, out_channels, 3).stride(stride).padding(1)));
}

Conv2d dilated_conv2d(int64_t in_channels, int64_t out_channels, int64_t dilation) {
  return Conv2d(
      checked("dilated_conv2d",
              Conv2dOptions(in_channels, out_channels, 3).padding(dilation).dilation(dilation)));
}

Conv2d depthwise_conv2d(int64_t channels) {
  return Conv2d(checked("depthwise_conv2d",
                        Conv2dOptions(channels, channels, 3).padding(1).groups(channels)));
}

Conv2d pointwise_conv2d(int64_t in_channels, int64_t out_channels) {
  return Conv2d(checked("pointwise_conv2d", Conv2dOptions(in_channels, out_channels, 1)));
}

}  // namespace convkit

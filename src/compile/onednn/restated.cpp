#include "compile/onednn/restated.h"

#include <ATen/ATen.h>

#include <utility>

namespace convkit::detail {

namespace {

/// The place in the kernel by which a pixel of the input counts for one of the output, along one axis; -1
/// where it does not.
int64_t place_in_kernel(const Geometry& g, std::size_t axis, int64_t from, int64_t to) {
  if (g.transposed) std::swap(from, to);
  const int64_t reach = from - to * g.stride[axis] + g.before[axis];
  if (reach < 0 || reach % g.dilation[axis] != 0) return -1;
  const int64_t place = reach / g.dilation[axis];
  return place < g.kernel[axis] ? place : -1;
}

/// A matrix [H' W' C', H W C] with the weight at each pair of pixels that belong together, and 0 at others.
torch::Tensor matrix_of(const torch::Tensor& weight, const Geometry& g) {
  const torch::Tensor by_place = g.transposed ? weight.transpose(0, 1) : weight;
  const Sizes& x = g.input;
  const Sizes& y = g.output;
  const torch::Tensor matrix = at::zeros({y[2], y[3], y[1], x[2], x[3], x[1]}, weight.options());
  for (int64_t pair = 0; pair < y[2] * y[3] * x[2] * x[3]; ++pair) {
    const int64_t column = pair % x[3];
    const int64_t row = pair / x[3] % x[2];
    const int64_t to_column = pair / (x[3] * x[2]) % y[3];
    const int64_t to_row = pair / (x[3] * x[2] * y[3]);
    const int64_t h = place_in_kernel(g, 0, row, to_row);
    const int64_t w = place_in_kernel(g, 1, column, to_column);
    if (h < 0 || w < 0) continue;
    matrix.select(0, to_row)
        .select(0, to_column)
        .select(1, row)
        .select(1, column)
        .copy_(by_place.select(3, w).select(2, h));
  }
  return matrix.view({y[2] * y[3] * y[1], x[2] * x[3] * x[1]});
}

}  // namespace

Sizes turned_strides(const Sizes& sizes) {
  const int64_t channels = sizes.at(1);
  return {channels * sizes.at(2) * sizes.at(3), 1, channels, sizes.at(2) * channels};
}

Slot turned(const Slot& image) {
  Slot result = image;
  std::swap(result.sizes.at(2), result.sizes.at(3));
  result.strides = channels_last_strides(result.sizes);
  return result;
}

Convolution turned(const Convolution& convolution) {
  Convolution result = convolution;
  result.weight = convolution.weight.transpose(2, 3).contiguous();
  for (auto* pair : {&result.stride, &result.padding, &result.extra_padding, &result.dilation,
                     &result.output_padding}) {
    std::swap(pair->at(0), pair->at(1));
  }
  return result;
}

Convolution as_linear(const Convolution& convolution, const Geometry& geometry) {
  Convolution result = convolution;
  result.linear = true;
  result.transposed = false;
  if (geometry.is_pointwise()) {
    result.weight = convolution.weight.flatten(1).contiguous();
    return result;
  }
  result.weight = matrix_of(convolution.weight, geometry);
  const int64_t pixels = geometry.output[2] * geometry.output[3];
  for (auto* of_channels : {&result.bias, &result.slope, &result.scale, &result.shift}) {
    if (of_channels->defined() && of_channels->dim() == 1)
      *of_channels = of_channels->repeat(pixels);
  }
  return result;
}

}  // namespace convkit::detail

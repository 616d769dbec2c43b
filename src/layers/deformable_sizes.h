#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>

/// What a deformable convolution is told, and the sizes of what it works on.
namespace convkit::detail {

struct DeformableOptions {
  std::array<int64_t, 2> stride;
  std::array<int64_t, 2> padding;
  std::array<int64_t, 2> dilation;
  int64_t groups = 1;
  int64_t offset_groups = 1;
};

/// Its tensors; without a mask or a bias they are undefined.
struct DeformableTensors {
  torch::Tensor input;
  torch::Tensor weight;
  torch::Tensor offset;
  torch::Tensor mask;
  torch::Tensor bias;
};

/// The sizes of one call. An image is surrounded by zeros, two rows above it and one row or column
/// at each other side: the four pixels of a sample are always there. Those of number 0 are zeros.
struct DeformableSizes {
  DeformableSizes(const DeformableTensors& tensors, const DeformableOptions& options);

  int64_t taps() const { return kernel[0] * kernel[1]; }
  int64_t places() const { return out[0] * out[1]; }
  int64_t row() const { return width + 2; }
  int64_t plane() const { return (height + 3) * row(); }
  int64_t channels_of_offsets() const { return channels / options.offset_groups; }
  /// Rows of the matrix of columns, one group after the other.
  int64_t rows() const { return channels * taps(); }
  /// [groups, rows of a group, places].
  std::array<int64_t, 3> columns() const {
    return {options.groups, rows() / options.groups, places()};
  }

  DeformableOptions options;
  int64_t batch;
  int64_t channels;
  int64_t height;
  int64_t width;
  int64_t out_channels;
  std::array<int64_t, 2> kernel;
  std::array<int64_t, 2> out{};
};

/// Gives the sizes. Throws c10::ValueError for shapes, types and options that do not fit.
DeformableSizes checked_sizes(const DeformableTensors& tensors, const DeformableOptions& options);

}  // namespace convkit::detail

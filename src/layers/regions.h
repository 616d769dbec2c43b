#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <vector>

/// What the operators on boxes of a map have in common.
namespace convkit::detail {

/// How a map is pooled in boxes.
struct RegionPooling {
  const char* name = "";  ///< the operator's
  double spatial_scale = 1;
  int64_t height = 1;  ///< in bins
  int64_t width = 1;
  int64_t sampling_ratio = -1;
  bool aligned = false;  ///< half a pixel is taken off the coordinates
};

/// Throws c10::ValueError unless the input is a map [N, C, H, W], the boxes are [K, 5] of its type,
/// and the numbers are sound.
void check_regions(const torch::Tensor& input, const torch::Tensor& boxes,
                   const RegionPooling& pooling);

/// The sizes of one call.
struct Regions {
  RegionPooling pooling;
  std::vector<int64_t> image;  ///< of each box
  int64_t channels = 0;        ///< of the input
  int64_t height = 0;
  int64_t width = 0;

  int64_t count() const { return static_cast<int64_t>(image.size()); }
  bool is_empty() const { return count() * channels == 0; }
  std::vector<int64_t> sizes() const { return {count(), channels, pooling.height, pooling.width}; }
  int64_t bins() const { return pooling.height * pooling.width; }
  int64_t pixels() const { return height * width; }
  /// The channel of the input in which the image of box k begins.
  int64_t plane(int64_t k) const { return image[static_cast<std::size_t>(k)] * channels; }
  /// How many items of so much work are worth a thread.
  int64_t grain(int64_t work) const;
  /// The boxes of each image, in their order.
  std::vector<std::vector<int64_t>> boxes_of(int64_t images) const;
};

/// Throws c10::ValueError for the number of an image that is not there.
Regions regions_of(const torch::Tensor& boxes, const RegionPooling& pooling,
                   torch::IntArrayRef input_sizes);

/// The same for a gradient, which has one channel for so many of the input; checks what its kernel
/// relies on.
Regions regions_of_gradient(const torch::Tensor& gradient, const torch::Tensor& boxes,
                            const RegionPooling& pooling, torch::IntArrayRef input_sizes,
                            int64_t channels_for_one = 1);

/// Calls f with a number of the tensor's type, float or double.
template <typename F>
auto in_its_type(const torch::Tensor& x, const F& f) {
  return x.scalar_type() == torch::kDouble ? f(double{}) : f(float{});
}

/// Whether the tensor's type is computed in float32.
bool is_reduced(const torch::Tensor& x);

constexpr int64_t kPlanes = 16;  // channels that stay in the second cache

/// Calls `add(box, channel, row, pixels)` for each channel of each image and each box of the image;
/// `row` has room for one of the image's. A thread takes whole channels, so that no other one writes
/// there, and boxes come in their order: each with a few channels, whose gradients lie side by side.
template <typename T, typename Add>
torch::Tensor each_plane(const Regions& regions, torch::IntArrayRef sizes,
                         const torch::TensorOptions& options, const Add& add) {
  torch::Tensor result = at::zeros(sizes, options);
  T* const to = result.mutable_data_ptr<T>();
  const auto boxes = regions.boxes_of(sizes[0]);
  const int64_t grain = regions.grain(8 * regions.bins() * regions.count());
  at::parallel_for(0, sizes[0] * sizes[1], grain, [&](int64_t begin, int64_t end) {
    std::vector<T> row(static_cast<std::size_t>(regions.width));
    int64_t last = begin;
    for (int64_t first = begin; first < end; first = last) {
      const int64_t image = first / regions.channels;
      last = std::min({end, first + kPlanes, (image + 1) * regions.channels});
      for (const int64_t k : boxes[static_cast<std::size_t>(image)]) {
        for (int64_t plane = first; plane < last; ++plane) {
          add(k, plane % regions.channels, row, to + plane * regions.pixels());
        }
      }
    }
  });
  return result;
}

}  // namespace convkit::detail

#include "layers/region_operators.h"

#include "layers/axis_samples.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <vector>

namespace convkit::detail {

namespace {

template <typename T>
void add_row(T* __restrict to, const T* __restrict from, T weight, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += weight * from[i];
}

/// Both axes of all boxes.
template <typename T>
struct BoxSamples {
  BoxSamples(const torch::Tensor& boxes, const Regions& regions)
      : y(boxes.const_data_ptr<T>(), regions.count(), 0, regions.height, regions.pooling),
        x(boxes.const_data_ptr<T>(), regions.count(), 1, regions.width, regions.pooling) {}

  AxisSamples<T> y;
  AxisSamples<T> x;
};

/// The bins of box k in one channel: each row of bins first sums rows of pixels, then bins of that.
template <typename T>
void align(const BoxSamples<T>& samples, const Regions& regions, int64_t k, const T* plane,
           std::vector<T>& row, T* bins) {
  const auto [first, width] = samples.x.span(k);
  const T count = std::max(samples.y.samples(k) * samples.x.samples(k), T(1));
  for (int64_t i = 0; i < regions.pooling.height; ++i) {
    std::fill_n(row.begin(), width, T(0));
    for (const auto& [y, weight] : samples.y.of(k, i)) {
      add_row(row.data(), plane + y * regions.width + first, weight, width);
    }
    for (int64_t j = 0; j < regions.pooling.width; ++j) {
      T sum = 0;
      for (const auto& [x, weight] : samples.x.of(k, j)) {
        sum += weight * row[static_cast<std::size_t>(x - first)];
      }
      *bins++ = sum / count;
    }
  }
}

/// Adds what the bins of box k give back to a channel.
template <typename T>
void align_backward(const BoxSamples<T>& samples, const Regions& regions, int64_t k, const T* bins,
                    std::vector<T>& row, T* plane) {
  const auto [first, width] = samples.x.span(k);
  const T count = std::max(samples.y.samples(k) * samples.x.samples(k), T(1));
  for (int64_t i = 0; i < regions.pooling.height; ++i) {
    std::fill_n(row.begin(), width, T(0));
    for (int64_t j = 0; j < regions.pooling.width; ++j) {
      const T gradient = *bins++ / count;
      for (const auto& [x, weight] : samples.x.of(k, j)) {
        row[static_cast<std::size_t>(x - first)] += weight * gradient;
      }
    }
    for (const auto& [y, weight] : samples.y.of(k, i)) {
      add_row(plane + y * regions.width + first, row.data(), weight, width);
    }
  }
}

template <typename T>
torch::Tensor roi_align_of(const torch::Tensor& input, const torch::Tensor& boxes,
                           const Regions& regions) {
  torch::Tensor result = at::empty(regions.sizes(), input.options());  // or refuses its size
  const BoxSamples<T> samples(boxes, regions);
  const T* const from = input.const_data_ptr<T>();
  T* const to = result.mutable_data_ptr<T>();
  const int64_t items = regions.count() * regions.channels;
  at::parallel_for(0, items, regions.grain(8 * regions.bins()), [&](int64_t begin, int64_t end) {
    std::vector<T> row(static_cast<std::size_t>(regions.width));
    for (int64_t item = begin; item < end; ++item) {
      const int64_t k = item / regions.channels;
      const int64_t plane = regions.plane(k) + item % regions.channels;
      align(samples, regions, k, from + plane * regions.pixels(), row, to + item * regions.bins());
    }
  });
  return result;
}

template <typename T>
torch::Tensor roi_align_backward_of(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                    const Regions& regions, torch::IntArrayRef sizes) {
  const BoxSamples<T> samples(boxes, regions);
  const T* const from = gradient.const_data_ptr<T>();
  return each_plane<T>(regions, sizes, gradient.options(),
                       [&](int64_t k, int64_t channel, std::vector<T>& row, T* plane) {
                         const T* const bins =
                             from + (k * regions.channels + channel) * regions.bins();
                         align_backward(samples, regions, k, bins, row, plane);
                       });
}

template <typename T>
torch::Tensor ps_roi_align_of(const torch::Tensor& input, const torch::Tensor& boxes,
                              const Regions& regions) {
  const int64_t channels = regions.channels / regions.bins();
  torch::Tensor result = at::empty(
      {regions.count(), channels, regions.pooling.height, regions.pooling.width}, input.options());
  const BoxSamples<T> samples(boxes, regions);
  const T* const from = input.const_data_ptr<T>();
  T* const to = result.mutable_data_ptr<T>();
  const auto pool = [&](int64_t k, int64_t channel) {
    const T* const plane = from + (regions.plane(k) + channel) * regions.pixels();
    const int64_t bin = channel % regions.bins();
    T sum = 0;
    for (const auto& [y, y_weight] : samples.y.of(k, bin / regions.pooling.width)) {
      T across = 0;
      for (const auto& [x, x_weight] : samples.x.of(k, bin % regions.pooling.width)) {
        across += x_weight * plane[y * regions.width + x];
      }
      sum += y_weight * across;
    }
    to[k * regions.channels + channel] = sum / (samples.y.samples(k) * samples.x.samples(k));
  };
  at::parallel_for(0, regions.count() * regions.channels, regions.grain(16),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i)
                       pool(i / regions.channels, i % regions.channels);
                   });
  return result;
}

template <typename T>
torch::Tensor ps_roi_align_backward_of(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                       const Regions& regions, torch::IntArrayRef sizes) {
  const BoxSamples<T> samples(boxes, regions);
  const T* const from = gradient.const_data_ptr<T>();
  return each_plane<T>(
      regions, sizes, gradient.options(),
      [&](int64_t k, int64_t channel, std::vector<T>&, T* plane) {
        const int64_t bin = channel % regions.bins();
        const T count = samples.y.samples(k) * samples.x.samples(k);
        const T part = from[k * regions.channels + channel] / count;
        for (const auto& [y, y_weight] : samples.y.of(k, bin / regions.pooling.width)) {
          for (const auto& [x, x_weight] : samples.x.of(k, bin % regions.pooling.width)) {
            plane[y * regions.width + x] += y_weight * x_weight * part;
          }
        }
      });
}

}  // namespace

torch::Tensor roi_align_cpu(const torch::Tensor& input, const torch::Tensor& boxes,
                            const RegionPooling& pooling) {
  check_regions(input, boxes, pooling);
  if (is_reduced(input)) {
    return roi_align_cpu(input.to(torch::kFloat), boxes.to(torch::kFloat), pooling)
        .to(input.scalar_type());
  }
  const Regions regions = regions_of(boxes, pooling, input.sizes());
  if (regions.is_empty()) return at::empty(regions.sizes(), input.options());
  return in_its_type(input, [&]<typename T>(T) {
    return roi_align_of<T>(input.contiguous(), boxes.contiguous(), regions);
  });
}

torch::Tensor roi_align_backward_cpu(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                     const RegionPooling& pooling, torch::IntArrayRef input_sizes) {
  if (is_reduced(gradient)) {
    return roi_align_backward_cpu(gradient.to(torch::kFloat), boxes.to(torch::kFloat), pooling,
                                  input_sizes)
        .to(gradient.scalar_type());
  }
  const Regions regions = regions_of_gradient(gradient, boxes, pooling, input_sizes);
  return in_its_type(gradient, [&]<typename T>(T) {
    return roi_align_backward_of<T>(gradient.contiguous(), boxes.contiguous(), regions,
                                    input_sizes);
  });
}

std::tuple<torch::Tensor, torch::Tensor> ps_roi_align_cpu(const torch::Tensor& input,
                                                          const torch::Tensor& boxes,
                                                          const RegionPooling& pooling) {
  check_regions(input, boxes, pooling);
  if (is_reduced(input)) {
    const auto [result, channels] =
        ps_roi_align_cpu(input.to(torch::kFloat), boxes.to(torch::kFloat), pooling);
    return {result.to(input.scalar_type()), channels};
  }
  Regions regions = regions_of(boxes, pooling, input.sizes());
  TORCH_CHECK_VALUE(regions.channels % regions.bins() == 0,
                    "ps_roi_align: expected channels divisible by the number of bins, ",
                    pooling.height, " x ", pooling.width, ", got ", regions.channels);
  const std::vector<int64_t> sizes{regions.count(), regions.channels / regions.bins(),
                                   pooling.height, pooling.width};
  const auto ints = input.options().dtype(torch::kInt);
  if (regions.is_empty()) return {at::empty(sizes, input.options()), at::empty(sizes, ints)};
  const torch::Tensor result = in_its_type(input, [&]<typename T>(T) {
    return ps_roi_align_of<T>(input.contiguous(), boxes.contiguous(), regions);
  });
  const std::vector<int64_t> one{1, sizes[1], sizes[2], sizes[3]};
  return {result, at::arange(regions.channels, ints).view(one).expand(sizes).contiguous()};
}

torch::Tensor ps_roi_align_backward_cpu(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                        const RegionPooling& pooling,
                                        torch::IntArrayRef input_sizes) {
  if (is_reduced(gradient)) {
    return ps_roi_align_backward_cpu(gradient.to(torch::kFloat), boxes.to(torch::kFloat), pooling,
                                     input_sizes)
        .to(gradient.scalar_type());
  }
  const Regions regions =
      regions_of_gradient(gradient, boxes, pooling, input_sizes, pooling.height * pooling.width);
  return in_its_type(gradient, [&]<typename T>(T) {
    return ps_roi_align_backward_of<T>(gradient.contiguous(), boxes.contiguous(), regions,
                                       input_sizes);
  });
}

}  // namespace convkit::detail

#include "layers/region_pooling.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace convkit::detail {

namespace {

/// The pixels of bin `bin` of box k along an axis; none if a coordinate is no number.
template <typename T>
std::pair<int64_t, int64_t> pixels_of_bin(const T* box, int64_t axis, int64_t bin, int64_t bins,
                                          int64_t places, T scale) {
  const T first = std::round(box[2 - axis] * scale);
  const T last = std::round(box[4 - axis] * scale);
  if (std::isnan(first) || std::isnan(last)) return {0, 0};
  constexpr T kFar = 1 << 30;  // no map goes there
  const T start = std::clamp(first, -kFar, kFar);
  const T size = std::max(std::clamp(last, -kFar, kFar) - start + 1, T(1));
  const T bin_size = size / static_cast<T>(bins);
  const auto bounded = [&](T place) {
    return std::clamp(static_cast<int64_t>(place) + static_cast<int64_t>(start), int64_t{0},
                      places);
  };
  return {bounded(std::floor(static_cast<T>(bin) * bin_size)),
          bounded(std::ceil(static_cast<T>(bin + 1) * bin_size))};
}

/// The bounds of all bins of all boxes along an axis.
template <typename T>
std::vector<std::pair<int64_t, int64_t>> bounds_of(const torch::Tensor& boxes, int64_t axis,
                                                   const Regions& regions) {
  const int64_t bins = axis == 0 ? regions.pooling.height : regions.pooling.width;
  const int64_t places = axis == 0 ? regions.height : regions.width;
  std::vector<std::pair<int64_t, int64_t>> result;
  for (int64_t k = 0; k < regions.count(); ++k) {
    for (int64_t bin = 0; bin < bins; ++bin) {
      result.push_back(pixels_of_bin(boxes.const_data_ptr<T>() + 5 * k, axis, bin, bins, places,
                                     static_cast<T>(regions.pooling.spatial_scale)));
    }
  }
  return result;
}

using Bounds = std::pair<int64_t, int64_t>;

/// The largest pixel of a bin, and its place; 0 and -1 without pixels.
template <typename T>
std::pair<T, int64_t> largest_of(const T* plane, int64_t width, const Bounds& ys,
                                 const Bounds& xs) {
  if (ys.second <= ys.first || xs.second <= xs.first) return {T(0), -1};
  auto largest = static_cast<T>(-std::numeric_limits<float>::max());
  int64_t place = -1;
  for (int64_t y = ys.first; y < ys.second; ++y) {
    for (int64_t i = y * width + xs.first; i < y * width + xs.second; ++i) {
      if (plane[i] > largest) {
        largest = plane[i];
        place = i;
      }
    }
  }
  return {largest, place};
}

template <typename T>
std::tuple<torch::Tensor, torch::Tensor> roi_pool_of(const torch::Tensor& input,
                                                     const torch::Tensor& boxes,
                                                     const Regions& regions) {
  const int64_t rows = regions.pooling.height;
  const int64_t columns = regions.pooling.width;
  torch::Tensor result = at::empty(regions.sizes(), input.options());  // or refuses its size
  torch::Tensor places = at::empty(result.sizes(), input.options().dtype(torch::kInt));
  const auto ys = bounds_of<T>(boxes, 0, regions);
  const auto xs = bounds_of<T>(boxes, 1, regions);
  const T* const from = input.const_data_ptr<T>();
  T* const to = result.mutable_data_ptr<T>();
  int32_t* const to_place = places.mutable_data_ptr<int32_t>();
  const auto pool = [&](int64_t item) {
    const int64_t k = item / regions.channels;
    const T* const plane = from + (regions.plane(k) + item % regions.channels) * regions.pixels();
    int64_t bin = item * regions.bins();
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j, ++bin) {
        const auto [largest, place] =
            largest_of(plane, regions.width, ys[static_cast<std::size_t>(k * rows + i)],
                       xs[static_cast<std::size_t>(k * columns + j)]);
        to[bin] = largest;
        to_place[bin] = static_cast<int32_t>(place);
      }
    }
  };
  const int64_t items = regions.count() * regions.channels;
  at::parallel_for(0, items, regions.grain(8 * regions.bins()), [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) pool(item);
  });
  return {result, places};
}

template <typename T>
torch::Tensor roi_pool_backward_of(const torch::Tensor& gradient, const torch::Tensor& places,
                                   const Regions& regions, torch::IntArrayRef sizes) {
  const T* const from = gradient.const_data_ptr<T>();
  const int32_t* const place = places.const_data_ptr<int32_t>();
  return each_plane<T>(regions, sizes, gradient.options(),
                       [&](int64_t k, int64_t channel, std::vector<T>&, T* plane) {
                         const int64_t first = (k * regions.channels + channel) * regions.bins();
                         for (int64_t i = first; i < first + regions.bins(); ++i) {
                           if (place[i] >= 0 && place[i] < regions.pixels())
                             plane[place[i]] += from[i];
                         }
                       });
}

}  // namespace

std::tuple<torch::Tensor, torch::Tensor> roi_pool_cpu(const torch::Tensor& input,
                                                      const torch::Tensor& boxes,
                                                      const RegionPooling& pooling) {
  check_regions(input, boxes, pooling);
  if (is_reduced(input)) {
    const auto [result, places] =
        roi_pool_cpu(input.to(torch::kFloat), boxes.to(torch::kFloat), pooling);
    return {result.to(input.scalar_type()), places};
  }
  const Regions regions = regions_of(boxes, pooling, input.sizes());
  if (regions.is_empty()) {
    return {at::empty(regions.sizes(), input.options()),
            at::empty(regions.sizes(), input.options().dtype(torch::kInt))};
  }
  return in_its_type(input, [&]<typename T>(T) {
    return roi_pool_of<T>(input.contiguous(), boxes.contiguous(), regions);
  });
}

torch::Tensor roi_pool_backward_cpu(const torch::Tensor& gradient, const torch::Tensor& boxes,
                                    const torch::Tensor& places, const RegionPooling& pooling,
                                    torch::IntArrayRef input_sizes) {
  if (is_reduced(gradient)) {
    return roi_pool_backward_cpu(gradient.to(torch::kFloat), boxes.to(torch::kFloat), places,
                                 pooling, input_sizes)
        .to(gradient.scalar_type());
  }
  const Regions regions = regions_of_gradient(gradient, boxes, pooling, input_sizes);
  TORCH_CHECK_VALUE(places.sizes() == gradient.sizes() && places.scalar_type() == torch::kInt,
                    "roi_pool: expected places of type Int and of the gradient's shape, got ",
                    places.toString(), " ", places.sizes());
  return in_its_type(gradient, [&]<typename T>(T) {
    return roi_pool_backward_of<T>(gradient.contiguous(), places.contiguous(), regions,
                                   input_sizes);
  });
}

}  // namespace convkit::detail

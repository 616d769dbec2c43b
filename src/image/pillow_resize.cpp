#include "image/pillow_resize.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <vector>

// The same code for three sets of instructions, of which the processor's is taken when the program starts.
// ThreadSanitizer is not ready yet when that happens.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#define CONVKIT_CLONES [[gnu::target_clones("arch=skylake-avx512", "arch=haswell", "default")]]
#else
#define CONVKIT_CLONES
#endif

namespace convkit::detail {

namespace {

/// A weight is a whole number of 2^-22: 32 bits, less the 8 of a pixel and 2 for sums above 1.
constexpr int kBits = 32 - 8 - 2;

double support_of(PillowFilter filter) {
  switch (filter) {
    case PillowFilter::kBox:
      return 0.5;
    case PillowFilter::kBilinear:
    case PillowFilter::kHamming:
      return 1;
    case PillowFilter::kBicubic:
      return 2;
    case PillowFilter::kLanczos:
      return 3;
  }
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double weight_of(PillowFilter filter, double x) {
  constexpr double kA = -0.5;  // of the cubic convolution
  const double distance = std::abs(x);
  switch (filter) {
    case PillowFilter::kBox:
      return x > -0.5 && x <= 0.5 ? 1 : 0;
    case PillowFilter::kBilinear:
      return distance < 1 ? 1 - distance : 0;
    case PillowFilter::kHamming:
      if (distance >= 1) return 0;
      // Pillow's numbers are of type float.
      return sinc(distance) *
             (double{0.54F} + double{0.46F} * std::cos(distance * std::numbers::pi));
    case PillowFilter::kBicubic:
      if (distance < 1) return ((kA + 2) * distance - (kA + 3)) * distance * distance + 1;
      if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * kA;
      return 0;
    case PillowFilter::kLanczos:
      return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
  }
  return 0;
}

/// Each output's first input, how many there are, and their weights.
struct Taps {
  int64_t most = 0;
  std::vector<int64_t> first;
  std::vector<int64_t> count;
  std::vector<int32_t> weights;  // `most` of each output

  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(first.size()); }
  [[nodiscard]] const int32_t* of(int64_t i) const { return weights.data() + i * most; }
  [[nodiscard]] int64_t begin() const { return first.front(); }
  [[nodiscard]] int64_t end() const { return first.back() + count.back(); }
};

/// The order of these operations is Pillow's: the last bit of a weight depends on it.
Taps taps(PillowFilter filter, int64_t size, int64_t outputs) {
  const double scale = static_cast<double>(size) / static_cast<double>(outputs);
  const double filter_scale = std::max(scale, 1.0);
  const double support = support_of(filter) * filter_scale;
  const double inverse = 1 / filter_scale;
  Taps result;
  result.most = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  result.weights.resize(static_cast<std::size_t>(result.most * outputs));
  std::vector<double> exact(static_cast<std::size_t>(result.most));
  for (int64_t i = 0; i < outputs; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min(static_cast<int64_t>(center + support + 0.5), size);
    double sum = 0;
    for (int64_t j = first; j < last; ++j) {
      double& weight = exact[static_cast<std::size_t>(j - first)];
      weight = weight_of(filter, (static_cast<double>(j) - center + 0.5) * inverse);
      sum += weight;
    }
    for (int64_t j = first; j < last; ++j) {
      double weight = exact[static_cast<std::size_t>(j - first)];
      if (sum != 0) weight /= sum;
      result.weights[static_cast<std::size_t>(i * result.most + j - first)] =
          static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits));
    }
    result.first.push_back(first);
    result.count.push_back(last - first);
  }
  return result;
}

inline uint8_t pixel(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
}

/// Columns become the outputs of `taps`, in one row.
CONVKIT_CLONES
void resize_row(const uint8_t* from, const Taps& taps, uint8_t* to) {
  for (int64_t i = 0; i < taps.size(); ++i) {
    const uint8_t* pixels = from + taps.first[static_cast<std::size_t>(i)];
    const int64_t count = taps.count[static_cast<std::size_t>(i)];
    const int32_t* weights = taps.of(i);
    int32_t sum = 1 << (kBits - 1);
    for (int64_t j = 0; j < count; ++j) sum += pixels[j] * weights[j];
    to[i] = pixel(sum);
  }
}

/// One output of rows.
CONVKIT_CLONES
void resize_column(const uint8_t* from, int64_t width, int64_t count, const int32_t* weights,
                   int32_t* sums, uint8_t* to) {
  for (int64_t x = 0; x < width; ++x) sums[x] = 1 << (kBits - 1);
  for (int64_t j = 0; j < count; ++j) {
    const uint8_t* row = from + j * width;
    const int32_t weight = weights[j];
    for (int64_t x = 0; x < width; ++x) sums[x] += row[x] * weight;
  }
  for (int64_t x = 0; x < width; ++x) to[x] = pixel(sums[x]);
}

/// The inputs of nearest neighbours, -1 outside; Pillow adds the steps up.
std::vector<int64_t> nearest(int64_t size, int64_t outputs) {
  const double step = static_cast<double>(size) / static_cast<double>(outputs);
  double at = step * 0.5;
  std::vector<int64_t> result;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t input = at < 0 ? -1 : static_cast<int64_t>(at);
    result.push_back(input < size ? input : -1);
    at += step;
  }
  return result;
}

/// Threads take so many rows at least.
int64_t grain(int64_t work_of_a_row) {
  return std::max<int64_t>(1, (int64_t{1} << 16) / std::max<int64_t>(work_of_a_row, 1));
}

/// Resizes `rows` rows of each plane from `first` on.
void resize_horizontally(const uint8_t* from, const Planes& planes, const Taps& taps, int64_t first,
                         int64_t rows, uint8_t* to) {
  at::parallel_for(0, planes.channels * rows, grain(taps.size() * taps.most),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       const int64_t row = i / rows * planes.height + first + i % rows;
                       resize_row(from + row * planes.width, taps, to + i * taps.size());
                     }
                   });
}

/// Resizes the columns of planes whose first row is number `first` of the taps'.
void resize_vertically(const uint8_t* from, const Planes& planes, const Taps& taps, int64_t first,
                       uint8_t* to) {
  at::parallel_for(0, planes.channels * taps.size(), grain(planes.width * taps.most),
                   [&](int64_t begin, int64_t end) {
                     std::vector<int32_t> sums(static_cast<std::size_t>(planes.width));
                     for (int64_t i = begin; i < end; ++i) {
                       const int64_t y = i % taps.size();
                       const auto number = static_cast<std::size_t>(y);
                       const int64_t row =
                           i / taps.size() * planes.height + taps.first[number] - first;
                       resize_column(from + row * planes.width, planes.width, taps.count[number],
                                     taps.of(y), sums.data(), to + i * planes.width);
                     }
                   });
}

}  // namespace

void pillow_resize(const uint8_t* from, const Planes& planes, PillowFilter filter,
                   int64_t to_height, int64_t to_width, uint8_t* to) {
  const auto [channels, height, width] = planes;
  const Taps vertical = taps(filter, height, to_height);
  const Taps horizontal = taps(filter, width, to_width);
  if (width == to_width) {
    resize_vertically(from, planes, vertical, 0, to);
  } else if (height == to_height) {
    resize_horizontally(from, planes, horizontal, 0, height, to);
  } else if (height > to_height && height - to_height > 2 * (width - to_width)) {
    // Pillow 13 begins with the side that loses most, which it weighs so.
    std::vector<uint8_t> between(static_cast<std::size_t>(channels * to_height * width));
    resize_vertically(from, planes, vertical, 0, between.data());
    resize_horizontally(between.data(), {channels, to_height, width}, horizontal, 0, to_height, to);
  } else {
    const int64_t first = vertical.begin();  // of the rows that the outputs need
    const int64_t rows = vertical.end() - first;
    std::vector<uint8_t> between(static_cast<std::size_t>(channels * rows * to_width));
    resize_horizontally(from, planes, horizontal, first, rows, between.data());
    resize_vertically(between.data(), {channels, rows, to_width}, vertical, first, to);
  }
}

void pillow_nearest(const uint8_t* from, const Planes& planes, int64_t to_height, int64_t to_width,
                    uint8_t* to) {
  const std::vector<int64_t> columns = nearest(planes.width, to_width);
  const std::vector<int64_t> rows = nearest(planes.height, to_height);
  for (int64_t channel = 0; channel < planes.channels; ++channel) {
    for (const int64_t y : rows) {
      const uint8_t* row =
          from + (channel * planes.height + std::max<int64_t>(y, 0)) * planes.width;
      for (const int64_t x : columns) *to++ = y < 0 || x < 0 ? 0 : row[x];
    }
  }
}

}  // namespace convkit::detail

#undef CONVKIT_CLONES

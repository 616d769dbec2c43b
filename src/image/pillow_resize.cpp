#include "image/pillow_resize.h"

#include "compile/engines/lanes.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <numbers>
#include <vector>

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

template <typename V>
struct PixelLanes {
  using Register [[gnu::vector_size(V::kLanes)]] = uint8_t;
};

/// One output of kRegisters registers of lines side by side: pixel j of line i is from[j * pitch + i]. Whole
/// numbers have one sum, whatever the order.
template <typename V, int kRegisters>
CONVKIT_INLINE void weigh(const uint8_t* from, int64_t pitch, const int32_t* weights, int64_t count,
                          uint8_t* to) {
  using Integers = typename V::Integers;
  using Pixels = typename PixelLanes<V>::Register;
  Integers sums[kRegisters];
  for (Integers& sum : sums) sum = Integers{} + (1 << (kBits - 1));
  for (int64_t j = 0; j < count; ++j) {
    for (int i = 0; i < kRegisters; ++i) {
      Pixels pixels;
      std::memcpy(&pixels, from + j * pitch + i * V::kLanes, sizeof(pixels));
      sums[i] += __builtin_convertvector(pixels, Integers) * weights[j];
    }
  }
  for (int i = 0; i < kRegisters; ++i) {
    Integers sum = sums[i] >> kBits;
    sum = sum < 0 ? Integers{} : sum;
    sum = sum > 255 ? Integers{} + 255 : sum;
    const Pixels pixels = __builtin_convertvector(sum, Pixels);
    std::memcpy(to + i * V::kLanes, &pixels, sizeof(pixels));
  }
}

/// weigh() of `lines` lines.
template <typename V>
CONVKIT_INLINE void weigh_lines(const uint8_t* from, int64_t lines, const int32_t* weights,
                                int64_t count, uint8_t* to) {
  constexpr int kRegisters = 4;
  int64_t i = 0;
  for (; i + kRegisters * V::kLanes <= lines; i += kRegisters * V::kLanes) {
    weigh<V, kRegisters>(from + i, lines, weights, count, to + i);
  }
  for (; i + V::kLanes <= lines; i += V::kLanes) {
    weigh<V, 1>(from + i, lines, weights, count, to + i);
  }
  if (i < lines && lines >= V::kLanes) {
    i = lines - V::kLanes;
    weigh<V, 1>(from + i, lines, weights, count, to + i);
    return;
  }
  for (; i < lines; ++i) {
    int32_t sum = 1 << (kBits - 1);
    for (int64_t j = 0; j < count; ++j) sum += from[j * lines + i] * weights[j];
    to[i] = static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
  }
}

constexpr int64_t kTile = 16;  // bytes of a register of every processor
using Tile [[gnu::vector_size(kTile)]] = uint8_t;

/// to[j * to_pitch + i] = from[i * pitch + j] for kTile rows and columns.
CONVKIT_INLINE void transpose_tile(const uint8_t* from, int64_t pitch, uint8_t* to,
                                   int64_t to_pitch) {
  constexpr Tile kLow = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  constexpr Tile kHigh = {8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  Tile rows[kTile];
  for (int64_t i = 0; i < kTile; ++i) std::memcpy(&rows[i], from + i * pitch, sizeof(Tile));
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {  // each one interleaves the first half with the second
    Tile shuffled[kTile];
    for (int64_t i = 0; i < kTile / 2; ++i) {
      shuffled[2 * i] = __builtin_shuffle(rows[i], rows[i + kTile / 2], kLow);
      shuffled[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + kTile / 2], kHigh);
    }
    for (int64_t i = 0; i < kTile; ++i) rows[i] = shuffled[i];
  }
  for (int64_t i = 0; i < kTile; ++i) std::memcpy(to + i * to_pitch, &rows[i], sizeof(Tile));
}

/// The same for so many rows and columns.
CONVKIT_INLINE void transpose_bytes(const uint8_t* from, int64_t rows, int64_t columns,
                                    int64_t pitch, uint8_t* to, int64_t to_pitch) {
  const int64_t whole_rows = rows / kTile * kTile;
  const int64_t whole_columns = columns / kTile * kTile;
  for (int64_t i = 0; i < whole_rows; i += kTile) {
    for (int64_t j = 0; j < whole_columns; j += kTile) {
      transpose_tile(from + i * pitch + j, pitch, to + j * to_pitch + i, to_pitch);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) {
      to[j * to_pitch + i] = from[i * pitch + j];
    }
  }
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

constexpr int64_t kStrip = 32;  // rows that become lines side by side; they stay in the cache

/// Resizes `rows` rows of each plane from `first` on.
void resize_horizontally(const uint8_t* from, const Planes& planes, const Taps& taps, int64_t first,
                         int64_t rows, uint8_t* to) {
  const int64_t strips = (rows + kStrip - 1) / kStrip;
  at::parallel_for(
      0, planes.channels * strips, grain(kStrip * taps.size() * taps.most),
      [&](int64_t begin, int64_t end) {
        std::vector<uint8_t> columns(static_cast<std::size_t>(planes.width * kStrip));
        std::vector<uint8_t> outputs(static_cast<std::size_t>(taps.size() * kStrip));
        lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
          for (int64_t strip = begin; strip < end; ++strip) {
            const int64_t channel = strip / strips;
            const int64_t row = strip % strips * kStrip;
            const int64_t count = std::min(kStrip, rows - row);
            transpose_bytes(from + (channel * planes.height + first + row) * planes.width, count,
                            planes.width, planes.width, columns.data(), kStrip);
            for (int64_t x = 0; x < taps.size(); ++x) {
              const auto number = static_cast<std::size_t>(x);
              weigh_lines<V>(columns.data() + taps.first[number] * kStrip, kStrip, taps.of(x),
                             taps.count[number], outputs.data() + x * kStrip);
            }
            transpose_bytes(outputs.data(), taps.size(), count, kStrip,
                            to + (channel * rows + row) * taps.size(), taps.size());
          }
        });
      });
}

/// Resizes the columns of planes whose first row is number `first` of the taps'.
void resize_vertically(const uint8_t* from, const Planes& planes, const Taps& taps, int64_t first,
                       uint8_t* to) {
  at::parallel_for(0, planes.channels * taps.size(), grain(planes.width * taps.most),
                   [&](int64_t begin, int64_t end) {
                     lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t y = i % taps.size();
                         const auto number = static_cast<std::size_t>(y);
                         const int64_t row =
                             i / taps.size() * planes.height + taps.first[number] - first;
                         weigh_lines<V>(from + row * planes.width, planes.width, taps.of(y),
                                        taps.count[number], to + i * planes.width);
                       }
                     });
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

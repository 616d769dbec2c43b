#include "image/pillow_resize.h"

#include "compile/engines/lanes.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <numbers>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace convkit::detail {

namespace {

/// A weight is a whole number of 2^-22: 32 bits, less the 8 of a pixel and 2 for sums above 1.
constexpr int kBits = 32 - 8 - 2;
constexpr int32_t kHalf = 1 << (kBits - 1);

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

/// So many outputs of a side have their weights at a time: those of a long side would take more memory
/// than its pixels.
constexpr int64_t kBlock = int64_t{1} << 14;

/// The outputs from number `begin` on, up to `end`.
struct Outputs {
  int64_t begin;
  int64_t end;
};

/// Calls `work` with the blocks of a side.
template <typename Work>
void each_block(int64_t outputs, const Work& work) {
  for (int64_t begin = 0; begin < outputs; begin += kBlock) {
    work(Outputs{begin, std::min(begin + kBlock, outputs)});
  }
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

/// A side, and the filter that makes another one of it.
struct Resized {
  PillowFilter filter;
  int64_t size;
  int64_t outputs;
};

/// The order of these operations is Pillow's: the last bit of a weight depends on it.
Taps taps(const Resized& side, const Outputs& block) {
  const auto [filter, size, outputs] = side;
  const double scale = static_cast<double>(size) / static_cast<double>(outputs);
  const double filter_scale = std::max(scale, 1.0);
  const double support = support_of(filter) * filter_scale;
  const double inverse = 1 / filter_scale;
  Taps result;
  result.most = std::min(static_cast<int64_t>(std::ceil(support)) * 2 + 1, size);
  result.weights.resize(static_cast<std::size_t>(result.most * (block.end - block.begin)));
  std::vector<double> exact(static_cast<std::size_t>(result.most));
  for (int64_t i = block.begin; i < block.end; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min(static_cast<int64_t>(center + support + 0.5), size);
    double sum = 0;
    for (int64_t j = first; j < last; ++j) {
      double& weight = exact[static_cast<std::size_t>(j - first)];
      weight = weight_of(filter, (static_cast<double>(j) - center + 0.5) * inverse);
      sum += weight;
    }
    int32_t* weights = result.weights.data() + (i - block.begin) * result.most;
    for (int64_t j = first; j < last; ++j) {
      double weight = exact[static_cast<std::size_t>(j - first)];
      if (sum != 0) weight /= sum;
      weights[j - first] = static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kBits));
    }
    result.first.push_back(first);
    result.count.push_back(last - first);
  }
  return result;
}

/// The inputs that any output has.
Outputs inputs(const Resized& side) {
  return {taps(side, {0, 1}).begin(), taps(side, {side.outputs - 1, side.outputs}).end()};
}

constexpr int64_t kLines = 32;  // side by side in registers

/// One output of lines from number `begin` on: pixel j of line i is from[j * pitch + i].
void weigh_each(const uint8_t* from, int64_t pitch, int64_t begin, const int32_t* weights,
                int64_t count, uint8_t* to) {
  for (int64_t i = begin; i < pitch; ++i) {
    int32_t sum = kHalf;
    for (int64_t j = 0; j < count; ++j) sum += from[j * pitch + i] * weights[j];
    to[i] = static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
  }
}

#ifdef __x86_64__
/// The same of kLines lines. The processor has sums of two products of 16 bits, so a weight is taken apart:
/// whole numbers have one sum, whatever the order.
[[gnu::target("avx2")]] void weigh_avx2(const uint8_t* from, int64_t pitch, const int32_t* weights,
                                        int64_t count, uint8_t* to) {
  constexpr int kLow = 11;  // bits, of 26 at most
  constexpr int kParts = kLines / 8;
  __m256i high[kParts];
  __m256i low[kParts];
  for (int part = 0; part < kParts; ++part) {
    high[part] = _mm256_setzero_si256();
    low[part] = _mm256_set1_epi32(kHalf);
  }
  for (int64_t j = 0; j < count; j += 2) {
    const bool two = j + 1 < count;
    const int32_t weight = weights[j];
    const int32_t next = two ? weights[j + 1] : 0;
    const auto pair = [](int32_t first, int32_t second) {
      return static_cast<int32_t>((static_cast<uint32_t>(first) & 0xFFFF) |
                                  static_cast<uint32_t>(second) << 16);
    };
    constexpr int32_t kMask = (1 << kLow) - 1;
    const __m256i highs = _mm256_set1_epi32(pair(weight >> kLow, next >> kLow));
    const __m256i lows = _mm256_set1_epi32(pair(weight & kMask, next & kMask));
    const uint8_t* row = from + j * pitch;
    const uint8_t* next_row = two ? row + pitch : row;
    for (int part = 0; part < kParts; part += 2) {
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + part * 8));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(next_row + part * 8));
      const __m256i first = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b));
      const __m256i second = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
      high[part] = _mm256_add_epi32(high[part], _mm256_madd_epi16(first, highs));
      low[part] = _mm256_add_epi32(low[part], _mm256_madd_epi16(first, lows));
      high[part + 1] = _mm256_add_epi32(high[part + 1], _mm256_madd_epi16(second, highs));
      low[part + 1] = _mm256_add_epi32(low[part + 1], _mm256_madd_epi16(second, lows));
    }
  }
  for (int part = 0; part < kParts; ++part) {
    high[part] = _mm256_add_epi32(_mm256_slli_epi32(high[part], kLow), low[part]);
    high[part] = _mm256_srai_epi32(high[part], kBits);
  }
  const __m256i pixels = _mm256_packus_epi16(_mm256_packs_epi32(high[0], high[1]),
                                             _mm256_packs_epi32(high[2], high[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // of lines, which lay apart
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(pixels, order));
}
#endif

/// One output of all lines.
void weigh(const uint8_t* from, int64_t pitch, const int32_t* weights, int64_t count, uint8_t* to) {
#ifdef __x86_64__
  if (pitch >= kLines && lanes::processor() != lanes::Processor::kAny) {
    for (int64_t i = 0; i < pitch; i += kLines) {
      const int64_t line = std::min(i, pitch - kLines);  // the last ones overlap others
      weigh_avx2(from + line, pitch, weights, count, to + line);
    }
    return;
  }
#endif
  weigh_each(from, pitch, 0, weights, count, to);
}

constexpr int64_t kTile = 16;  // bytes of a register of every processor
using Tile [[gnu::vector_size(kTile)]] = uint8_t;

/// to[j * to_pitch + i] = from[i * pitch + j] for kTile rows and columns.
inline void transpose_tile(const uint8_t* from, int64_t pitch, uint8_t* to, int64_t to_pitch) {
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
void transpose_bytes(const uint8_t* from, int64_t rows, int64_t columns, int64_t pitch, uint8_t* to,
                     int64_t to_pitch) {
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
class Nearest {
 public:
  Nearest(int64_t size, int64_t outputs)
      : size_(size), step_(static_cast<double>(size) / static_cast<double>(outputs)) {}

  /// Those of the next outputs.
  std::vector<int64_t> take(int64_t count) {
    std::vector<int64_t> result;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t input = at_ < 0 ? -1 : static_cast<int64_t>(at_);
      result.push_back(input < size_ ? input : -1);
      at_ += step_;
    }
    return result;
  }

 private:
  int64_t size_;
  double step_;
  double at_ = step_ * 0.5;
};

/// Threads take so many rows at least.
int64_t grain(int64_t work_of_a_row) {
  return std::max<int64_t>(1, (int64_t{1} << 18) / std::max<int64_t>(work_of_a_row, 1));
}

/// Writes columns of `rows` rows of each plane from `first` on to rows of `pitch`: kLines rows at a time become
/// lines side by side.
void resize_columns(const uint8_t* from, const Planes& planes, const Taps& taps, int64_t first,
                    int64_t rows, uint8_t* to, int64_t pitch) {
  const int64_t strips = (rows + kLines - 1) / kLines;
  const int64_t begin_column = taps.begin();
  const int64_t columns = taps.end() - begin_column;
  at::parallel_for(
      0, planes.channels * strips, grain(kLines * taps.size() * taps.most),
      [&](int64_t begin, int64_t end) {
        std::vector<uint8_t> lines(static_cast<std::size_t>(columns * kLines));
        std::vector<uint8_t> outputs(static_cast<std::size_t>(taps.size() * kLines));
        for (int64_t strip = begin; strip < end; ++strip) {
          const int64_t channel = strip / strips;
          const int64_t row = strip % strips * kLines;
          const int64_t count = std::min(kLines, rows - row);
          transpose_bytes(
              from + (channel * planes.height + first + row) * planes.width + begin_column, count,
              columns, planes.width, lines.data(), kLines);
          for (int64_t x = 0; x < taps.size(); ++x) {
            const auto number = static_cast<std::size_t>(x);
            weigh(lines.data() + (taps.first[number] - begin_column) * kLines, kLines, taps.of(x),
                  taps.count[number], outputs.data() + x * kLines);
          }
          transpose_bytes(outputs.data(), taps.size(), count, kLines,
                          to + (channel * rows + row) * pitch, pitch);
        }
      });
}

/// Resizes `rows` rows of each plane from `first` on.
void resize_horizontally(const uint8_t* from, const Planes& planes, const Resized& side,
                         int64_t first, int64_t rows, uint8_t* to) {
  each_block(side.outputs, [&](const Outputs& block) {
    resize_columns(from, planes, taps(side, block), first, rows, to + block.begin, side.outputs);
  });
}

/// Resizes the columns of planes whose first row is number `first` of the side's.
void resize_vertically(const uint8_t* from, const Planes& planes, const Resized& side,
                       int64_t first, uint8_t* to) {
  each_block(side.outputs, [&](const Outputs& block) {
    const Taps rows = taps(side, block);
    at::parallel_for(0, planes.channels * rows.size(), grain(planes.width * rows.most),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t channel = i / rows.size();
                         const int64_t y = i % rows.size();
                         const auto number = static_cast<std::size_t>(y);
                         const int64_t row = channel * planes.height + rows.first[number] - first;
                         const int64_t output = channel * side.outputs + block.begin + y;
                         weigh(from + row * planes.width, planes.width, rows.of(y),
                               rows.count[number], to + output * planes.width);
                       }
                     });
  });
}

}  // namespace

void pillow_resize(const uint8_t* from, const Planes& planes, PillowFilter filter,
                   int64_t to_height, int64_t to_width, uint8_t* to) {
  const auto [channels, height, width] = planes;
  const Resized vertical{filter, height, to_height};
  const Resized horizontal{filter, width, to_width};
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
    const auto [first, end] = inputs(vertical);
    const int64_t rows = end - first;
    std::vector<uint8_t> between(static_cast<std::size_t>(channels * rows * to_width));
    resize_horizontally(from, planes, horizontal, first, rows, between.data());
    resize_vertically(between.data(), {channels, rows, to_width}, vertical, first, to);
  }
}

void pillow_nearest(const uint8_t* from, const Planes& planes, int64_t to_height, int64_t to_width,
                    uint8_t* to) {
  Nearest all_columns(planes.width, to_width);
  each_block(to_width, [&](const Outputs& block) {
    const std::vector<int64_t> columns = all_columns.take(block.end - block.begin);
    Nearest all_rows(planes.height, to_height);
    each_block(to_height, [&](const Outputs& lines) {
      const std::vector<int64_t> rows = all_rows.take(lines.end - lines.begin);
      for (int64_t channel = 0; channel < planes.channels; ++channel) {
        uint8_t* result = to + (channel * to_height + lines.begin) * to_width + block.begin;
        for (const int64_t y : rows) {
          const uint8_t* row =
              from + (channel * planes.height + std::max<int64_t>(y, 0)) * planes.width;
          for (std::size_t i = 0; i < columns.size(); ++i) {
            result[i] = y < 0 || columns[i] < 0 ? 0 : row[columns[i]];
          }
          result += to_width;
        }
      }
    });
  });
}

}  // namespace convkit::detail

#include "compile/engines/planes.h"

#include "compile/engines/products.h"

#include <algorithm>

namespace convkit::detail::planes {

namespace {

constexpr int64_t kWide = products::kPanelRegisters;

/// Where a pixel is.
template <typename V>
CONVKIT_INLINE float* place_of(float* panels, int64_t panel_pitch, int64_t pixel) {
  constexpr int64_t kWidth = kWide * V::kLanes;
  return panels + pixel / kWidth * panel_pitch + pixel % kWidth;
}

/// The same numbers. It writes no more than these.
template <typename V>
CONVKIT_INLINE void copy(const float* from, int64_t count, float* to) {
  if (count < V::kLanes) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
    return;
  }
  typename V::Register numbers;
  for (int64_t i = 0; i + V::kLanes <= count; i += V::kLanes) {
    lanes::load<V>(from + i, numbers);
    lanes::store<V>(numbers, to + i);
  }
  lanes::load<V>(from + count - V::kLanes, numbers);
  lanes::store<V>(numbers, to + count - V::kLanes);
}

/// The sums of one row from a pixel on: kBlock registers of them. Any taps.
template <typename V, int64_t kBlock>
CONVKIT_INLINE void add_taps(const float* begin, const std::vector<int64_t>& offsets,
                             const float* taps, float bias, const lanes::LaneActivation& activation,
                             float* to, int64_t panel_pitch, int64_t pixel) {
  using Register = typename V::Register;
  Register sums[kBlock];
#pragma GCC unroll 4
  for (int64_t i = 0; i < kBlock; ++i) sums[i] = Register{} + bias;
  for (std::size_t tap = 0; tap < offsets.size(); ++tap) {
    const Register weight = Register{} + taps[tap];
    const float* from = begin + offsets[tap];
#pragma GCC unroll 4
    for (int64_t i = 0; i < kBlock; ++i) {
      Register x;
      lanes::load<V>(from + i * V::kLanes, x);
      sums[i] += weight * x;
    }
  }
#pragma GCC unroll 4
  for (int64_t i = 0; i < kBlock; ++i) {
    lanes::activate<V>(sums[i], activation);
    lanes::store<V>(sums[i], place_of<V>(to, panel_pitch, pixel + i * V::kLanes));
  }
}

/// Up to four registers at once: the last ones may reach beyond the row.
template <typename V>
CONVKIT_INLINE void add_row(const float* begin, int64_t width, const std::vector<int64_t>& offsets,
                            const float* taps, float bias, const lanes::LaneActivation& activation,
                            float* to, int64_t panel_pitch, int64_t pixel) {
  for (int64_t column = 0; column < width;) {
    const int64_t left = (width - column + V::kLanes - 1) / V::kLanes;
    if (left >= 4) {
      add_taps<V, 4>(begin + column, offsets, taps, bias, activation, to, panel_pitch,
                     pixel + column);
      column += 4 * V::kLanes;
    } else if (left >= 2) {
      add_taps<V, 2>(begin + column, offsets, taps, bias, activation, to, panel_pitch,
                     pixel + column);
      column += 2 * V::kLanes;
    } else {
      add_taps<V, 1>(begin + column, offsets, taps, bias, activation, to, panel_pitch,
                     pixel + column);
      column += V::kLanes;
    }
  }
}

/// The same for 3x3 taps with stride 1, for kBlock registers of each of `count` rows: a line is read once for the three
/// rows that see it.
template <typename V, int64_t kBlock>
CONVKIT_INLINE void slide(const float* line, int64_t line_pitch, int64_t dilation, int64_t count,
                          int64_t width, const float* taps, float bias,
                          const lanes::LaneActivation& activation, float* to, int64_t panel_pitch,
                          int64_t pixel) {
  using Register = typename V::Register;
  Register weight[9];
#pragma GCC unroll 9
  for (int64_t tap = 0; tap < 9; ++tap) weight[tap] = Register{} + taps[tap];
  Register second[kBlock];  // sums of a row whose last line of taps is missing
  Register third[kBlock];   // and of the one below
#pragma GCC unroll 2
  for (int64_t i = 0; i < kBlock; ++i) second[i] = third[i] = Register{} + bias;
  for (int64_t row = -2; row < count; ++row, line += line_pitch) {
#pragma GCC unroll 2
    for (int64_t i = 0; i < kBlock; ++i) {
      Register first = second[i];
      second[i] = third[i];
      third[i] = Register{} + bias;
#pragma GCC unroll 3
      for (int64_t k = 0; k < 3; ++k) {
        Register x;
        lanes::load<V>(line + k * dilation + i * V::kLanes, x);
        first += weight[6 + k] * x;
        second[i] += weight[3 + k] * x;
        third[i] += weight[k] * x;
      }
      if (row < 0) continue;
      lanes::activate<V>(first, activation);
      lanes::store<V>(first, place_of<V>(to, panel_pitch, pixel + row * width + i * V::kLanes));
    }
  }
}

/// All rows. The last columns come first, since what they write beyond a row is the next one's.
template <typename V>
CONVKIT_INLINE void slide_rows(const float* lines, int64_t line_pitch, int64_t dilation,
                               int64_t count, int64_t width, const float* taps, float bias,
                               const lanes::LaneActivation& activation, float* to,
                               int64_t panel_pitch) {
  constexpr int64_t kTwo = 2 * V::kLanes;
  for (int64_t column = (width - 1) / kTwo * kTwo; column >= 0; column -= kTwo) {
    if (width - column > V::kLanes) {
      slide<V, 2>(lines + column, line_pitch, dilation, count, width, taps, bias, activation, to,
                  panel_pitch, column);
    } else {
      slide<V, 1>(lines + column, line_pitch, dilation, count, width, taps, bias, activation, to,
                  panel_pitch, column);
    }
  }
}

/// Rows of a weight whose sums a processor holds in registers, beside those of a panel and one of the weight.
template <typename V>
constexpr int64_t kRows = 6;
template <>
constexpr int64_t kRows<lanes::Avx512> = 14;

int64_t rows_at_once() {
  return lanes::processor() == lanes::Processor::kAvx512 ? kRows<lanes::Avx512>
                                                         : kRows<lanes::Avx2>;
}

/// Some rows of the weight by the first registers of one panel, of which the first pixels go to the image.
template <typename V, int64_t kUsed>
CONVKIT_INLINE void multiply(const Pointwise& what, int64_t first, const float* panel,
                             int64_t pixels, float* to, int64_t to_pitch) {
  using Register = typename V::Register;
  const float* weight = what.weight + first * what.in_channels;
  Register sums[kRows<V>][kUsed] = {};
  for (int64_t c = 0; c < what.in_channels; ++c) {
    Register x[kUsed];
#pragma GCC unroll 2
    for (int64_t i = 0; i < kUsed; ++i) lanes::load<V>(panel + i * V::kLanes, x[i]);
#pragma GCC unroll 14
    for (int64_t row = 0; row < kRows<V>; ++row) {
#pragma GCC unroll 2
      for (int64_t i = 0; i < kUsed; ++i) sums[row][i] += weight[row] * x[i];
    }
    panel += kWide * V::kLanes;
    weight += kRows<V>;
  }
  const int64_t rows = std::min(kRows<V>, what.out_channels - first);
#pragma GCC unroll 14
  for (int64_t row = 0; row < kRows<V>; ++row) {
    if (row >= rows) break;
    const float bias = what.bias == nullptr ? 0.0F : what.bias[first + row];
    float* line = to + (first + row) * to_pitch;
#pragma GCC unroll 2
    for (int64_t i = 0; i < kUsed; ++i) {
      Register y = sums[row][i] + bias;
      lanes::activate<V>(y, what.activation);
      const int64_t count = pixels - i * V::kLanes;
      if (count >= V::kLanes) {
        lanes::store<V>(y, line + i * V::kLanes);
      } else if (count > 0) {
        lanes::store<V>(y, count, line + i * V::kLanes);
      }
    }
  }
}

}  // namespace

DepthwiseRows::DepthwiseRows(const Depthwise& what, int64_t rows, int64_t width)
    : what_(what),
      width_(width),
      lines_((rows - 1) * what.stride[0] + (what.kernel[0] - 1) * what.dilation[0] + 1) {
  const int64_t last_tap = (what.kernel[1] - 1) * what.dilation[1];
  phase_pitch_ = width + last_tap / what.stride[1] + kBeyond;
  line_pitch_ = phase_pitch_ * what.stride[1];
  for (int64_t i = 0; i < what.kernel[0]; ++i) {
    for (int64_t j = 0; j < what.kernel[1]; ++j) {
      const int64_t column = j * what.dilation[1];
      offsets_.push_back(i * what.dilation[0] * line_pitch_ +
                         column % what.stride[1] * phase_pitch_ + column / what.stride[1]);
    }
  }
}

/// Rows of the image between the zeros around it, which are there. With a stride, each one taken apart, so that what
/// the neighbours of a result see stands side by side.
template <typename V>
CONVKIT_INLINE void DepthwiseRows::lay_out(const Plane& plane, int64_t first, int64_t lines,
                                           float* room) const {
  const int64_t stride = what_.stride[1];
  const int64_t top = first * what_.stride[0] - what_.before[0];
  const int64_t begin = std::max<int64_t>(0, -top);
  const int64_t end = std::min(lines, plane.height - top);
  for (int64_t phase = 0; phase < stride; ++phase) {
    const int64_t shift = phase - what_.before[1];  // the column of the first pixel
    const int64_t left = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    const int64_t inside = std::max<int64_t>(0, plane.width - shift + stride - 1) / stride;
    const int64_t count = std::min(phase_pitch_, inside) - left;
    if (count <= 0) continue;
    for (int64_t i = begin; i < end; ++i) {
      float* line = room + i * line_pitch_ + phase * phase_pitch_ + left;
      const float* pixels = plane.pixels + (top + i) * plane.width + shift + left * stride;
      if (stride == 1) {
        // The next channel lies beyond what a processor foresees.
        for (int64_t k = 0; k < count; k += 16) {
          __builtin_prefetch(pixels + plane.height * plane.width + k);
        }
        copy<V>(pixels, count, line);
      } else {
        for (int64_t k = 0; k < count; ++k) line[k] = pixels[k * stride];
      }
    }
  }
}

void DepthwiseRows::run(const Plane& plane, const float* taps, float bias, int64_t first,
                        int64_t count, float* room, float* to, int64_t panel_pitch) const {
  const int64_t lines =
      (count - 1) * what_.stride[0] + (what_.kernel[0] - 1) * what_.dilation[0] + 1;
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    static_assert(4 * V::kLanes <= kBeyond);
    lay_out<V>(plane, first, lines, room);
    if (what_.kernel == Pair{3, 3} && what_.stride == Pair{1, 1} && what_.dilation[0] == 1) {
      slide_rows<V>(room, line_pitch_, what_.dilation[1], count, width_, taps, bias,
                    what_.activation, to, panel_pitch);
      return;
    }
    for (int64_t row = 0; row < count; ++row) {
      add_row<V>(room + row * what_.stride[0] * line_pitch_, width_, offsets_, taps, bias,
                 what_.activation, to, panel_pitch, row * width_);
    }
  });
}

int64_t panels_of(int64_t pixels) {
  return (pixels + products::panel_width() - 1) / products::panel_width();
}

bool fits_panels(int64_t width) {
  return width % (products::panel_width() / kWide) == 0;
}

void to_panels(const float* pixels, int64_t count, int64_t channel, int64_t channels,
               float* panels) {
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    constexpr int64_t kWidth = kWide * V::kLanes;
    float* to = panels + channel * kWidth;
    for (int64_t pixel = 0; pixel < count; pixel += kWidth, to += channels * kWidth) {
      for (int64_t i = 0; i < kWide; ++i) {
        typename V::Register numbers;
        lanes::load<V>(pixels + pixel + i * V::kLanes, numbers);
        lanes::store<V>(numbers, to + i * V::kLanes);
      }
    }
  });
}

std::vector<float> packed_weight(const float* weight, int64_t out_channels, int64_t in_channels) {
  const int64_t rows = rows_at_once();
  const int64_t blocks = (out_channels + rows - 1) / rows;
  std::vector<float> packed(static_cast<std::size_t>(blocks * rows * in_channels));
  for (int64_t k = 0; k < out_channels; ++k) {
    float* to = packed.data() + k / rows * rows * in_channels + k % rows;
    for (int64_t c = 0; c < in_channels; ++c) to[c * rows] = weight[k * in_channels + c];
  }
  return packed;
}

void pointwise(const Pointwise& what, const float* panels, int64_t pixels, float* to,
               int64_t to_pitch) {
  // So much of the weight stays in the first cache while the panels go by.
  constexpr int64_t kCached = 4096;  // numbers
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    constexpr int64_t kWidth = kWide * V::kLanes;
    const int64_t chunk = std::max<int64_t>(1, kCached / (what.in_channels * kRows<V>)) * kRows<V>;
    for (int64_t begin = 0; begin < what.out_channels; begin += chunk) {
      const int64_t end = std::min(begin + chunk, what.out_channels);
      for (int64_t pixel = 0; pixel < pixels; pixel += kWidth) {
        const float* panel = panels + pixel * what.in_channels;
        const int64_t left = pixels - pixel;
        for (int64_t first = begin; first < end; first += kRows<V>) {
          if (left > V::kLanes) {
            multiply<V, kWide>(what, first, panel, left, to + pixel, to_pitch);
          } else {
            multiply<V, 1>(what, first, panel, left, to + pixel, to_pitch);
          }
        }
      }
    }
  });
}

}  // namespace convkit::detail::planes

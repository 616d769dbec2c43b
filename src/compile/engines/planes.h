#pragma once

#include "compile/engines/lanes.h"

#include <array>
#include <cstdint>
#include <vector>

/// Depthwise and 1x1 convolutions on images [C, H, W] as they lie: some rows of the first go into the second while
/// they are in the cache, so that no image is turned to channels_last and back. Float32.
namespace convkit::detail::planes {

using Pair = std::array<int64_t, 2>;

/// One kernel for each channel, whose taps and bias are given by channel.
struct Depthwise {
  Pair kernel{1, 1};
  Pair stride{1, 1};
  Pair before{0, 0};  ///< padding above the image and left of it
  Pair dilation{1, 1};
  lanes::LaneActivation activation;
};

/// How many panels so many pixels take. pointwise() takes them as [panels, C, products::panel_width()] of pixels that
/// follow one another, whatever rows they are in; after the last pixel there are any numbers.
int64_t panels_of(int64_t pixels);

/// Whether rows of so many pixels begin where a register of a panel does.
bool fits_panels(int64_t width);

/// Puts the pixels of one of so many channels into their panels; it reads whole panels.
void to_panels(const float* pixels, int64_t count, int64_t channel, int64_t channels,
               float* panels);

/// A channel of an image.
struct Plane {
  const float* pixels = nullptr;
  int64_t height = 0;
  int64_t width = 0;
};

/// Rows of a depthwise convolution's result, one channel after the other.
class DepthwiseRows {
 public:
  /// Of at most `rows` rows of `width` pixels.
  DepthwiseRows(const Depthwise& what, int64_t rows, int64_t width);

  /// How many numbers of memory `room` has to have.
  [[nodiscard]] int64_t room() const { return lines_ * line_pitch_; }
  /// How many numbers beyond the last row run() may write to.
  static constexpr int64_t kBeyond = 64;

  /// Writes `count` rows from row `first` of the result on, as one channel of panels that are `panel_pitch` apart
  /// where the width fits_panels(), or one after the other with products::panel_width(). `room` has zeros before the
  /// first channel, and is only given to channels of the same rows after it.
  void run(const Plane& plane, const float* taps, float bias, int64_t first, int64_t count,
           float* room, float* to, int64_t panel_pitch) const;

 private:
  template <typename V>
  void lay_out(const Plane& plane, int64_t first, int64_t lines, float* room) const;

  Depthwise what_;
  int64_t width_;
  int64_t lines_;        ///< rows of the image that the rows of the result see
  int64_t phase_pitch_;  ///< every stride-th pixel of a row, from one of the first ones on
  int64_t line_pitch_;
  std::vector<int64_t> offsets_;  ///< of each tap in `room`, for the first pixel of a row
};

/// to[k, p] = activation(bias[k] + sum over c of weight[k, c] from[c, p]).
struct Pointwise {
  const float* weight = nullptr;  ///< as packed_weight() gives it
  const float* bias = nullptr;    ///< [K], or none
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  lanes::LaneActivation activation;
};

/// A weight [K, C]: as many rows as a processor multiplies at once, one after the other; the last ones may be zeros.
std::vector<float> packed_weight(const float* weight, int64_t out_channels, int64_t in_channels);

/// Of pixels in panels; channel k of the result begins at to + k * to_pitch.
void pointwise(const Pointwise& what, const float* panels, int64_t pixels, float* to,
               int64_t to_pitch);

}  // namespace convkit::detail::planes

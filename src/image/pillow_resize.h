#pragma once

#include <cstdint>

namespace convkit::detail {

/// Pillow's filters, but for its nearest, which is a rule of its own.
enum class PillowFilter { kBox, kBilinear, kHamming, kBicubic, kLanczos };

/// The planes of an image, one after the other.
struct Planes {
  int64_t channels;
  int64_t height;
  int64_t width;
};

/// Writes to `to`, whose planes are `to_height` x `to_width`, what Pillow's Image.resize() gives for
/// each plane of 8 bits. No side is empty.
void pillow_resize(const uint8_t* from, const Planes& planes, PillowFilter filter,
                   int64_t to_height, int64_t to_width, uint8_t* to);
void pillow_nearest(const uint8_t* from, const Planes& planes, int64_t to_height, int64_t to_width,
                    uint8_t* to);

}  // namespace convkit::detail

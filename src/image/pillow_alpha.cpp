#include "image/pillow_alpha.h"

#include <algorithm>
#include <cstring>

namespace convkit::detail {

void multiply_by_alpha(const uint8_t* from, const Planes& planes, int64_t channels, uint8_t* to) {
  const int64_t plane = planes.height * planes.width;
  for (int64_t i = 0; i < planes.channels; ++i, from += plane, to += plane) {
    const int64_t to_alpha = channels - 1 - i % channels;
    if (to_alpha == 0) {
      std::memcpy(to, from, static_cast<std::size_t>(plane));
      continue;
    }
    const uint8_t* alpha = from + to_alpha * plane;
    for (int64_t j = 0; j < plane; ++j) {
      const int product = from[j] * alpha[j] + 128;
      to[j] = static_cast<uint8_t>((product + (product >> 8)) >> 8);  // over 255, rounded
    }
  }
}

void divide_by_alpha(uint8_t* image, const Planes& planes, int64_t channels) {
  const int64_t plane = planes.height * planes.width;
  for (int64_t i = 0; i < planes.channels; ++i, image += plane) {
    const int64_t to_alpha = channels - 1 - i % channels;
    if (to_alpha == 0) continue;
    const uint8_t* alpha = image + to_alpha * plane;
    for (int64_t j = 0; j < plane; ++j) {
      // Below 256, float32 rounds no quotient of these up to a whole number.
      const float quotient = static_cast<float>(image[j] * 255) / std::max<float>(alpha[j], 1);
      const auto clipped = static_cast<uint8_t>(std::min(quotient, 255.0F));
      image[j] = alpha[j] == 0 ? image[j] : clipped;
    }
  }
}

}  // namespace convkit::detail

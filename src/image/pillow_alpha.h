#pragma once

#include "image/pillow_resize.h"

#include <cstdint>

namespace convkit::detail {

/// Images whose last channel of `channels` is alpha: Pillow resizes colours that are multiplied by it, so that
/// no colour comes from where nothing is seen. The rounding is that of its convert() from RGBA to RGBa and back.
void multiply_by_alpha(const uint8_t* from, const Planes& planes, int64_t channels, uint8_t* to);
void divide_by_alpha(uint8_t* image, const Planes& planes, int64_t channels);

}  // namespace convkit::detail

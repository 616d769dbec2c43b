#pragma once

#include <cstdint>
#include <string_view>

namespace convkit::detail {

/// How the camera was held, 1 (upright) to 8, of a file's EXIF: 1 where it does not say.
int64_t exif_orientation(std::string_view exif);

}  // namespace convkit::detail

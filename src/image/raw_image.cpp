#include "image/raw_image.h"

#include <c10/util/Exception.h>

namespace convkit::detail {

void check_pixel_count(int64_t width, int64_t height, int64_t max_pixels) {
  TORCH_CHECK(width > 0 && height > 0, "an image of ", width, " x ", height, " pixels");
  TORCH_CHECK(width <= max_pixels / height, "expected at most ", max_pixels, " pixels, got ", width,
              " x ", height, "; set max_pixels");
}

}  // namespace convkit::detail

#include "image/raw_image.h"

#include <c10/util/Exception.h>

/// In place of png.cpp, where convkit is built without libpng.
namespace convkit::detail {

RawImage read_png(std::string_view, int64_t) {
  TORCH_CHECK(false, "a PNG, and convkit was built without libpng");
}

std::string write_png(const torch::Tensor&) {
  TORCH_CHECK(false, "no PNG can be written: convkit was built without libpng");
}

}  // namespace convkit::detail

#include "image/raw_image.h"

#include <c10/util/Exception.h>

/// In place of jpeg.cpp, where convkit is built without libjpeg.
namespace convkit::detail {

RawImage read_jpeg(std::string_view, int64_t) {
  TORCH_CHECK(false, "a JPEG, and convkit was built without libjpeg");
}

std::string write_jpeg(const torch::Tensor&, int) {
  TORCH_CHECK(false, "no JPEG can be written: convkit was built without libjpeg");
}

}  // namespace convkit::detail

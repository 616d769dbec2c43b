#include "image/image_checks.h"

#include <c10/util/Exception.h>

namespace convkit::detail {

void check_image(const char* name, const torch::Tensor& image, int64_t dims) {
  TORCH_CHECK_VALUE(image.defined(), name, ": expected an image, got an undefined tensor");
  TORCH_CHECK_VALUE(image.dim() >= dims, name, ": expected an image ",
                    dims == 3 ? "[..., C, H, W]" : "[..., H, W]", ", got ", image.sizes());
}

void check_size(const char* name, c10::IntArrayRef size) {
  TORCH_CHECK_VALUE(size.size() == 1 || size.size() == 2, name,
                    ": expected size {side} or {height, width}, got ", size);
  for (const int64_t side : size) {
    TORCH_CHECK_VALUE(side >= 1, name, ": expected sides >= 1, got ", size);
  }
}

}  // namespace convkit::detail

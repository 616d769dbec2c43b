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

bool is_pillow(const char* name, const torch::Tensor& image, std::optional<transforms::Way> way) {
  using transforms::Way;
  const bool bytes = image.scalar_type() == torch::kByte;
  if (way.value_or(bytes ? Way::kPillow : Way::kTensor) == Way::kTensor) return false;
  TORCH_CHECK_VALUE(bytes, name, ": expected an image of type Byte in Pillow's way, got ",
                    image.scalar_type(), "; take Way::kTensor");
  TORCH_CHECK_VALUE(image.device().is_cpu(), name,
                    ": expected an image on cpu in Pillow's way, got ", image.device(),
                    "; move it with to(torch::kCPU)");
  TORCH_CHECK_VALUE(image.size(-3) == 1 || image.size(-3) == 3, name,
                    ": expected 1 or 3 channels in Pillow's way, got ", image.size(-3),
                    "; take Way::kTensor");
  return true;
}

}  // namespace convkit::detail

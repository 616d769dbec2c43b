#include "image/image_checks.h"

#include "image/image_types.h"
#include "image/sides.h"

#include <c10/util/Exception.h>

#include <cmath>

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
    TORCH_CHECK_VALUE(side <= kLongestSide, name, ": expected sides <= ", kLongestSide, ", got ",
                      size);
  }
}

const char* name_of(transforms::Interpolation interpolation) {
  using transforms::Interpolation;
  switch (interpolation) {
    case Interpolation::kNearest:
      return "nearest";
    case Interpolation::kNearestExact:
      return "nearest-exact";
    case Interpolation::kBilinear:
      return "bilinear";
    case Interpolation::kBicubic:
      return "bicubic";
    case Interpolation::kBox:
      return "box";
    case Interpolation::kHamming:
      return "hamming";
    case Interpolation::kLanczos:
      return "lanczos";
  }
  return "";
}

const char* name_of(transforms::PaddingMode mode) {
  using transforms::PaddingMode;
  switch (mode) {
    case PaddingMode::kConstant:
      return "constant";
    case PaddingMode::kEdge:
      return "edge";
    case PaddingMode::kReflect:
      return "reflect";
    case PaddingMode::kSymmetric:
      return "symmetric";
  }
  return "";
}

bool is_pillow(const char* name, const torch::Tensor& image, std::optional<transforms::Way> way,
               bool alpha) {
  using transforms::Way;
  const bool bytes = image.scalar_type() == torch::kByte;
  if (way.value_or(bytes ? Way::kPillow : Way::kTensor) == Way::kTensor) return false;
  TORCH_CHECK_VALUE(bytes, name, ": expected an image of type Byte in Pillow's way, got ",
                    image.scalar_type(), "; take Way::kTensor");
  TORCH_CHECK_VALUE(image.device().is_cpu(), name,
                    ": expected an image on cpu in Pillow's way, got ", image.device(),
                    "; move it with to(torch::kCPU)");
  const int64_t channels = image.size(-3);
  const bool fits = channels == 1 || channels == 3 || (alpha && (channels == 2 || channels == 4));
  TORCH_CHECK_VALUE(fits, name, alpha ? ": expected 1 to 4 channels" : ": expected 1 or 3 channels",
                    " in Pillow's way, got ", channels, "; take Way::kTensor");
  return true;
}

void check_sample(const char* name, const transforms::Sample& sample) {
  const auto& [image, mask, boxes] = sample;
  check_image(name, image);
  const auto sides = image.sizes().slice(image.dim() - 2);
  TORCH_CHECK_VALUE(
      !mask.defined() || (mask.dim() >= 2 && mask.sizes().slice(mask.dim() - 2) == sides), name,
      ": expected a mask [..., ", sides[0], ", ", sides[1], "], as the image, got ", mask.sizes());
  TORCH_CHECK_VALUE(!boxes || c10::IntArrayRef(boxes->canvas_size) == sides, name,
                    ": expected boxes of a canvas ", sides, ", as the image, got ",
                    c10::IntArrayRef(boxes->canvas_size));
}

void check_region(const transforms::Region& region) {
  TORCH_CHECK_VALUE(region.height >= 1 && region.width >= 1,
                    "crop: expected a region with height and width >= 1, got ", region.height,
                    " x ", region.width);
  const auto near = [](int64_t place, int64_t side) {
    return place >= -kLongestSide && place <= kLongestSide && side <= kLongestSide;
  };
  TORCH_CHECK_VALUE(near(region.top, region.height) && near(region.left, region.width),
                    "crop: expected a region of numbers up to ", kLongestSide, ", got ",
                    region.height, " x ", region.width, " at ", region.top, ", ", region.left);
}

void check_result(const char* name, const torch::Tensor& image, int64_t height, int64_t width) {
  check_sides(name, height, width);
  double bytes = static_cast<double>(image.element_size());
  for (const int64_t size : image.sizes().slice(0, image.dim() - 2)) {
    bytes *= static_cast<double>(size);
  }
  bytes *= static_cast<double>(height) * static_cast<double>(width);
  TORCH_CHECK_VALUE(bytes < 0x1p63, name, ": expected a result of less than 2^63 bytes, got ",
                    height, " x ", width, " for an image ", image.sizes());
}

double checked_fill(const char* name, double fill, torch::Dtype dtype) {
  bool fits = true;
  double number = fill;
  if (c10::isIntegralType(dtype, /*includeBool=*/false)) {
    number = std::trunc(fill);
    const bool has_sign = c10::isSignedType(dtype);
    const int bits = static_cast<int>(8 * c10::elementSize(dtype)) - (has_sign ? 1 : 0);
    const double end = std::ldexp(1.0, bits);
    fits = number >= (has_sign ? -end : 0.0) && number < end;
  } else if (dtype == torch::kBool) {
    fits = !std::isnan(fill);
  } else {
    fits = !std::isfinite(fill) || std::abs(fill) <= largest_finite(dtype);
  }
  TORCH_CHECK_VALUE(fits, name, ": expected a fill that ", dtype, " has, got ", fill);
  return number;
}

void check_fill_count(const char* name, c10::ArrayRef<double> fill, transforms::PaddingMode mode) {
  TORCH_CHECK_VALUE(!fill.empty() || mode != transforms::PaddingMode::kConstant, name,
                    ": expected a fill of at least 1 number, got 0");
}

}  // namespace convkit::detail

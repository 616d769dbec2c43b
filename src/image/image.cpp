#include <convkit/image.h>

#include "files/file.h"
#include "image/exif.h"
#include "image/modes.h"
#include "image/raw_image.h"

#include <ATen/core/TensorBody.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <string_view>

namespace convkit {

using torch::Tensor;

namespace detail {

namespace {

ReadRaw* reader_of(std::string_view bytes) {
  if (bytes.starts_with("\xff\xd8\xff")) return read_jpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return read_png;
  if (bytes.size() > 1 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6') return read_ppm;
  TORCH_CHECK(false,
              bytes.empty() ? "an empty file" : "not an image of JPEG, PNG, PPM, PGM or PBM");
}

Tensor upright(const Tensor& image, int64_t orientation) {
  const Tensor x = orientation >= 5 ? image.transpose(-1, -2) : image;
  switch (orientation) {
    case 2:
    case 6:
      return x.flip(-1);
    case 3:
    case 7:
      return x.flip({-2, -1});
    case 4:
    case 8:
      return x.flip(-2);
    default:
      return x.contiguous();
  }
}

/// `name` is that of the function, and `file` that of the file, or nothing.
Tensor decode(const char* name, const std::string& file, std::string_view bytes,
              const ReadImageOptions& options) {
  check_mode(name, options.mode);
  TORCH_CHECK_VALUE(options.max_pixels >= 1, name, ": expected max_pixels >= 1, got ",
                    options.max_pixels);
  try {
    const RawImage image = reader_of(bytes)(bytes, options.max_pixels);
    const Tensor pixels = in_mode(image, options.mode);
    return options.exif_orientation ? upright(pixels, exif_orientation(image.exif)) : pixels;
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, name, ": ", file.empty() ? "" : file + ": ", error.what_without_backtrace());
  }
}

/// Throws c10::ValueError for an image that a format does not have.
void check_writable(const char* name, const Tensor& image, const std::string& format,
                    const WriteImageOptions& options) {
  TORCH_CHECK_VALUE(image.defined(), name, ": expected an image, got an undefined tensor");
  TORCH_CHECK_VALUE(image.scalar_type() == torch::kByte, name,
                    ": expected an image of type Byte, got ", image.scalar_type());
  TORCH_CHECK_VALUE(!image.is_meta(), name, ": expected an image with data, got one on ",
                    image.device());
  const bool fits = image.dim() == 3 && image.numel() > 0 &&
                    (image.size(0) == 1 || image.size(0) == 3 ||
                     (format == "png" && (image.size(0) == 2 || image.size(0) == 4)));
  TORCH_CHECK_VALUE(fits, name, ": expected an image [C, H, W] of 1", format == "png" ? ", 2" : "",
                    format == "png" ? ", 3 or 4" : " or 3", " channels for ", format, ", got ",
                    image.sizes());
  const int64_t most = format == "jpeg" ? 65500 : 2'147'483'647;
  TORCH_CHECK_VALUE(image.size(1) <= most && image.size(2) <= most, name,
                    ": expected sides of at most ", most, " for ", format, ", got ", image.sizes());
  TORCH_CHECK_VALUE(options.quality >= 0 && options.quality <= 100, name,
                    ": expected quality from 0 to 100, got ", options.quality);
}

std::string encode(const char* name, const Tensor& image, const std::string& format,
                   const WriteImageOptions& options) {
  check_writable(name, image, format, options);
  const Tensor pixels = image.cpu().permute({1, 2, 0}).contiguous();
  return format == "jpeg"  ? write_jpeg(pixels, options.quality)
         : format == "png" ? write_png(pixels)
                           : write_ppm(pixels);
}

std::string format_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (ending == ".jpg" || ending == ".jpeg") return "jpeg";
  if (ending == ".png") return "png";
  if (ending == ".ppm" || ending == ".pgm") return "ppm";
  TORCH_CHECK_VALUE(false,
                    "write_image: expected a name that ends in .jpg, .jpeg, .png, .ppm or "
                    ".pgm, got ",
                    shown_path(path));
}

}  // namespace

}  // namespace detail

Tensor read_image(const std::string& path, const ReadImageOptions& options) {
  const auto file = detail::MappedFile::open(path, "read_image: ");
  return detail::decode("read_image", file->path(), file->bytes(), options);
}

Tensor decode_image(std::string_view bytes, const ReadImageOptions& options) {
  return detail::decode("decode_image", "", bytes, options);
}

void write_image(const Tensor& image, const std::string& path, const WriteImageOptions& options) {
  const std::string bytes = detail::encode("write_image", image, detail::format_of(path), options);
  detail::NewFile file(path, "write_image: ");
  file.write(bytes);
  file.flush();
  file.commit();
}

std::string encode_image(const Tensor& image, const std::string& format,
                         const WriteImageOptions& options) {
  TORCH_CHECK_VALUE(format == "jpeg" || format == "png" || format == "ppm",
                    "encode_image: expected a format of jpeg, png and ppm, got ", format);
  return detail::encode("encode_image", image, format, options);
}

}  // namespace convkit

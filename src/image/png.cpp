#include "image/raw_image.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <png.h>
#include <zlib.h>

#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace convkit::detail {

using torch::Tensor;

namespace {

/// What a chunk of a cut or damaged file may take, and what reading one can cost.
constexpr png_alloc_size_t kMostChunk = 1 << 20;

/// An error of libpng leaves its functions by longjmp, past which nothing may be destroyed: what calls
/// libpng does so in guarded(), and throws afterwards.
struct PngError {
  char text[128] = {};
};

[[noreturn]] void on_png_error(png_structp png, png_const_charp message) {
  auto& error = *static_cast<PngError*>(png_get_error_ptr(png));
  std::snprintf(error.text, sizeof error.text, "%s", message);
  png_longjmp(png, 1);
}

template <typename Body>
void guarded(png_structp png, const PngError& error, const Body& body) {
  if (setjmp(png_jmpbuf(png)) == 0) {
    body();
    return;
  }
  TORCH_CHECK(false, "a damaged PNG: ", error.text);
}

uint32_t number_at(std::string_view bytes, std::size_t at) {
  uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(bytes[at + i]);
  return number;
}

/// Throws where a checksum of what comes before the pixels is wrong, as Pillow does. Neither looks at
/// those of the pixels.
void check_sums(std::string_view bytes) {
  std::size_t at = 8;
  while (bytes.size() - at >= 12) {
    const std::size_t length = number_at(bytes, at);
    const std::string_view chunk = bytes.substr(at + 4);
    if (chunk.starts_with("IDAT") || length > bytes.size() - at - 12) return;
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(chunk.data()), static_cast<uInt>(length + 4));
    TORCH_CHECK(sum == number_at(chunk, length + 4), "a damaged PNG: a checksum is wrong");
    at += length + 12;
  }
}

/// EXIF, which may stand before the pixels or after them. A chunk that is cut there is an error of Pillow's too.
std::string_view exif_of(std::string_view bytes) {
  std::size_t at = 8;
  while (bytes.size() - at >= 12) {
    const std::size_t length = number_at(bytes, at);
    TORCH_CHECK(length <= bytes.size() - at - 12, "a damaged PNG: it is cut short");
    const std::string_view chunk = bytes.substr(at + 4, length + 4);
    if (chunk.starts_with("eXIf")) return chunk.substr(4);
    if (chunk.starts_with("IEND")) break;
    at += length + 12;
  }
  return {};
}

class PngReader {
 public:
  explicit PngReader(std::string_view bytes) : left_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &error_, on_png_error,
                                  [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      TORCH_CHECK(false, "libpng cannot begin");
    }
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  void read_header() {
    guarded(png_, error_, [&] {
      png_set_read_fn(png_, this, [](png_structp png, png_bytep to, png_size_t size) {
        auto& left = static_cast<PngReader*>(png_get_io_ptr(png))->left_;
        if (size > left.size()) png_error(png, "it is cut short");
        std::memcpy(to, left.data(), size);
        left.remove_prefix(size);
      });
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_chunk_malloc_max(png_, kMostChunk);
      png_set_crc_action(png_, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
      skip_the_rest();
      png_read_info(png_, info_);
      png_get_IHDR(png_, info_, &width, &height, &depth, &color, &interlace, nullptr, nullptr);
      read_colors();
    });
  }

  /// Takes memory for rows, of which a damaged header may promise large ones.
  void begin_rows() {
    guarded(png_, error_, [&] {
      if (depth == 16 && color != PNG_COLOR_TYPE_GRAY) png_set_strip_16(png_);
      if (depth == 16) png_set_swap(png_);
      // Pillow has no mode for it.
      if (depth == 16 && color == PNG_COLOR_TYPE_GRAY_ALPHA) png_set_gray_to_rgb(png_);
      if (depth < 8 && color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
      if (depth < 8) png_set_packing(png_);
      png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
      row_bytes = png_get_rowbytes(png_, info_);
    });
  }

  void read_rows(std::vector<png_bytep>& rows) {
    guarded(png_, error_, [&] { png_read_image(png_, rows.data()); });
  }

  png_uint_32 width = 0;
  png_uint_32 height = 0;
  int depth = 0;
  int color = 0;
  int interlace = 0;
  std::size_t row_bytes = 0;
  std::array<uint8_t, 1024> palette = {};
  bool has_key = false;
  png_color_16 key = {};

 private:
  void skip_the_rest() {
    // Of what is not pixels only this is looked at. libpng would take as much memory for EXIF as a damaged
    // file promises.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_AS_DEFAULT,
                                reinterpret_cast<png_const_bytep>("tRNS"), 1);
  }

  void read_colors() {
    png_bytep alphas = nullptr;
    int alpha_count = 0;
    png_color_16p transparent = nullptr;
    const bool found = png_get_tRNS(png_, info_, &alphas, &alpha_count, &transparent) != 0;
    if (color != PNG_COLOR_TYPE_PALETTE) {
      has_key = found && transparent != nullptr;
      if (has_key) key = *transparent;
      return;
    }
    png_colorp colors = nullptr;
    int count = 0;
    png_get_PLTE(png_, info_, &colors, &count);
    for (int i = 0; i < 256; ++i) {
      const png_color rgb = i < count ? colors[i] : png_color{0, 0, 0};
      uint8_t* entry = palette.data() + static_cast<std::ptrdiff_t>(4) * i;
      entry[0] = rgb.red;
      entry[1] = rgb.green;
      entry[2] = rgb.blue;
      entry[3] = found && alphas != nullptr && i < alpha_count ? alphas[i] : 255;
    }
  }

  std::string_view left_;
  PngError error_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

const char* mode_of(const PngReader& reader) {
  switch (reader.color) {
    case PNG_COLOR_TYPE_GRAY:
      return reader.depth == 16 ? "I;16" : "L";
    case PNG_COLOR_TYPE_GRAY_ALPHA:
      return reader.depth == 16 ? "RGBA" : "LA";
    case PNG_COLOR_TYPE_PALETTE:
      return "P";
    case PNG_COLOR_TYPE_RGB:
      return "RGB";
    default:
      return "RGBA";
  }
}

}  // namespace

RawImage read_png(std::string_view bytes, int64_t max_pixels) {
  check_sums(bytes);
  PngReader reader(bytes);
  reader.read_header();
  check_pixel_count(reader.width, reader.height, max_pixels);
  // Deflate makes at most 1,032 bytes of one, and a pixel has at least a bit.
  TORCH_CHECK(bytes.size() >= static_cast<std::size_t>(reader.width) * reader.height / 8 / 1032,
              "a damaged PNG: it is cut short");
  reader.begin_rows();

  RawImage image;
  image.mode = mode_of(reader);
  const int64_t height = reader.height;
  const int64_t row_bytes = static_cast<int64_t>(reader.row_bytes);
  const Tensor data = at::empty({height, row_bytes}, torch::kByte);
  std::vector<png_bytep> rows;
  for (int64_t y = 0; y < height; ++y)
    rows.push_back(data.mutable_data_ptr<uint8_t>() + y * row_bytes);
  reader.read_rows(rows);
  image.pixels = data.reshape({height, static_cast<int64_t>(reader.width), -1});
  if (image.mode == "I;16") {
    image.pixels = image.pixels.view(torch::kShort).to(torch::kInt).bitwise_and_(0xFFFF);
  }
  if (image.mode == "P") image.palette.assign(reader.palette.begin(), reader.palette.end());
  if (reader.has_key && image.mode == "RGB") {
    image.transparent = {reader.key.red, reader.key.green, reader.key.blue};
  } else if (reader.has_key) {
    const int64_t grey = reader.depth == 1 ? (reader.key.gray != 0 ? 255 : 0) : reader.key.gray;
    image.transparent = {grey, grey, grey};
  }
  image.exif = exif_of(bytes);
  return image;
}

std::string write_png(const Tensor& pixels) {
  PngError error;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &error, on_png_error,
                                            [](png_structp, png_const_charp) {});
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  std::string bytes;
  const auto release = [&] { png_destroy_write_struct(&png, &info); };
  std::vector<png_bytep> rows;
  const int64_t row_bytes = pixels.size(1) * pixels.size(2);
  for (int64_t y = 0; y < pixels.size(0); ++y)
    rows.push_back(const_cast<png_bytep>(pixels.const_data_ptr<uint8_t>() + y * row_bytes));
  constexpr std::array kColors{PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                               PNG_COLOR_TYPE_RGBA};
  try {
    TORCH_CHECK(info != nullptr, "libpng cannot begin");
    guarded(png, error, [&] {
      png_set_write_fn(
          png, &bytes,
          [](png_structp to, png_bytep data, png_size_t size) {
            bool is_written = true;
            try {
              static_cast<std::string*>(png_get_io_ptr(to))
                  ->append(reinterpret_cast<const char*>(data), size);
            } catch (const std::bad_alloc&) {  // which libpng cannot pass on
              is_written = false;
            }
            if (!is_written) png_error(to, "no memory for it");
          },
          nullptr);
      png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
      png_set_IHDR(png, info, static_cast<png_uint_32>(pixels.size(1)),
                   static_cast<png_uint_32>(pixels.size(0)), 8,
                   kColors[static_cast<std::size_t>(pixels.size(2) - 1)], PNG_INTERLACE_NONE,
                   PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
      png_write_info(png, info);
      png_write_image(png, rows.data());
      png_write_end(png, nullptr);
    });
  } catch (...) {
    release();
    throw;
  }
  release();
  return bytes;
}

}  // namespace convkit::detail

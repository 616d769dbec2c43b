#include "image/raw_image.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <jpeglib.h>  // which needs <cstdio> before it

#include <jerror.h>

namespace convkit::detail {

using torch::Tensor;

namespace {

/// An error of libjpeg leaves its functions by longjmp, past which nothing may be destroyed: what calls
/// libjpeg does so in guarded(), and throws afterwards.
struct JpegErrors : jpeg_error_mgr {
  JpegErrors() {
    jpeg_std_error(this);
    error_exit = [](j_common_ptr info) {
      auto& self = *static_cast<JpegErrors*>(info->err);
      self.format_message(info, self.text);
      std::longjmp(self.back, 1);
    };
    // Warnings, after which it goes on as Pillow does.
    emit_message = [](j_common_ptr, int) {};
    output_message = [](j_common_ptr) {};
  }

  std::jmp_buf back = {};
  char text[JMSG_LENGTH_MAX] = {};
};

template <typename Body>
void guarded(JpegErrors& errors, const Body& body) {
  if (setjmp(errors.back) == 0) {
    body();
    return;
  }
  TORCH_CHECK(false, "a damaged JPEG: ", errors.text);
}

[[noreturn]] void end_early(j_decompress_ptr info) {
  auto& errors = *static_cast<JpegErrors*>(info->err);
  std::snprintf(errors.text, sizeof errors.text, "%s", "it is cut short");
  std::longjmp(errors.back, 1);
}

/// The bytes, and an error where they end: libjpeg's own source goes on with grey.
struct JpegBytes : jpeg_source_mgr {
  explicit JpegBytes(std::string_view bytes) : jpeg_source_mgr() {
    next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    bytes_in_buffer = bytes.size();
    init_source = [](j_decompress_ptr) {};
    fill_input_buffer = [](j_decompress_ptr info) -> boolean { end_early(info); };
    skip_input_data = [](j_decompress_ptr info, long count) {
      if (count <= 0) return;
      if (static_cast<std::size_t>(count) > info->src->bytes_in_buffer) end_early(info);
      info->src->next_input_byte += count;
      info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
    };
    resync_to_restart = jpeg_resync_to_restart;
    term_source = [](j_decompress_ptr) {};
  }
};

/// A small file may have any number of scans, each of which goes through all of its pixels.
struct JpegProgress : jpeg_progress_mgr {
  static constexpr int kMostScans = 500;

  JpegProgress() : jpeg_progress_mgr() {
    progress_monitor = [](j_common_ptr info) {
      if (info->is_decompressor == 0) return;
      if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMostScans) return;
      auto& errors = *static_cast<JpegErrors*>(info->err);
      std::snprintf(errors.text, sizeof errors.text, "more than %d scans", kMostScans);
      std::longjmp(errors.back, 1);
    };
  }
};

class JpegReader {
 public:
  explicit JpegReader(std::string_view bytes) : bytes_(bytes) {
    info_.err = &errors_;
    guarded(errors_, [&] {
      jpeg_create_decompress(&info_);
      info_.src = &bytes_;
      info_.progress = &progress_;
    });
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  void read_header() {
    guarded(errors_, [&] {
      jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xFFFF);
      jpeg_read_header(&info_, TRUE);
      info_.out_color_space = info_.num_components == 1   ? JCS_GRAYSCALE
                              : info_.num_components == 3 ? JCS_RGB
                                                          : JCS_CMYK;
    });
  }

  void read_rows(uint8_t* to, std::size_t row_bytes) {
    guarded(errors_, [&] {
      jpeg_start_decompress(&info_);
      while (info_.output_scanline < info_.output_height) {
        JSAMPROW row = to + info_.output_scanline * row_bytes;
        jpeg_read_scanlines(&info_, &row, 1);
      }
      jpeg_finish_decompress(&info_);
    });
  }

  const jpeg_decompress_struct& info() const { return info_; }

 private:
  JpegErrors errors_;
  JpegBytes bytes_;
  JpegProgress progress_;
  jpeg_decompress_struct info_ = {};
};

/// All of EXIF: Pillow joins the markers of one that is too long for a single one.
std::string exif_of(const jpeg_decompress_struct& info) {
  using namespace std::string_view_literals;
  constexpr auto kName = "Exif\0\0"sv;
  std::string exif;
  for (const auto* marker = info.marker_list; marker != nullptr; marker = marker->next) {
    const std::string_view data(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (data.starts_with(kName)) exif += data.substr(kName.size());
  }
  return exif;
}

}  // namespace

RawImage read_jpeg(std::string_view bytes, int64_t max_pixels) {
  JpegReader reader(bytes);
  reader.read_header();
  const auto& info = reader.info();
  check_pixel_count(info.image_width, info.image_height, max_pixels);
  const int64_t bands = info.num_components;
  TORCH_CHECK(bands == 1 || bands == 3 || bands == 4, "a JPEG of ", bands,
              " components, expected 1, 3 or 4");

  RawImage image;
  image.mode = bands == 1 ? "L" : bands == 3 ? "RGB" : "CMYK";
  image.exif = exif_of(info);
  image.pixels = at::empty({info.image_height, info.image_width, bands}, torch::kByte);
  reader.read_rows(image.pixels.mutable_data_ptr<uint8_t>(),
                   static_cast<std::size_t>(info.image_width) * static_cast<std::size_t>(bands));
  // Adobe's programs write CMYK inverted, and all others do as they.
  if (bands == 4) image.pixels.bitwise_not_();
  return image;
}

std::string write_jpeg(const Tensor& pixels, int quality) {
  JpegErrors errors;
  jpeg_compress_struct info = {};
  unsigned char* data = nullptr;
  unsigned long size = 0;
  info.err = &errors;
  const uint8_t* from = pixels.const_data_ptr<uint8_t>();
  const int64_t bands = pixels.size(2);
  const auto row_bytes = static_cast<std::size_t>(pixels.size(1) * bands);
  const auto release = [&] {
    jpeg_destroy_compress(&info);
    std::free(data);
  };
  try {
    guarded(errors, [&] {
      jpeg_create_compress(&info);
      jpeg_mem_dest(&info, &data, &size);
      info.image_height = static_cast<JDIMENSION>(pixels.size(0));
      info.image_width = static_cast<JDIMENSION>(pixels.size(1));
      info.input_components = static_cast<int>(bands);
      info.in_color_space = bands == 1 ? JCS_GRAYSCALE : JCS_RGB;
      jpeg_set_defaults(&info);
      jpeg_set_quality(&info, quality, TRUE);
      jpeg_start_compress(&info, TRUE);
      while (info.next_scanline < info.image_height) {
        auto* row = const_cast<JSAMPROW>(from + info.next_scanline * row_bytes);
        jpeg_write_scanlines(&info, &row, 1);
      }
      jpeg_finish_compress(&info);
    });
    std::string bytes(reinterpret_cast<const char*>(data), size);
    release();
    return bytes;
  } catch (...) {
    release();
    throw;
  }
}

}  // namespace convkit::detail

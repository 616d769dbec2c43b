#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace convkit::detail {

/// An image as its file has it.
struct RawImage {
  std::string mode;              // Pillow's: L, LA, P, RGB, RGBA, CMYK, I;16 or I
  torch::Tensor pixels;          // [H, W, bands], of uint8, or of int32 for I;16 and I
  std::vector<uint8_t> palette;  // of P: R, G, B and alpha of 256 colors
  std::optional<std::array<int64_t, 3>> transparent;  // the color, or the grey, without alpha
  std::string exif;                                   // a TIFF file without an image
};

/// Reads a file. All throw c10::Error, whose text has no name of a function or a file.
using ReadRaw = RawImage(std::string_view bytes, int64_t max_pixels);
ReadRaw read_jpeg;
ReadRaw read_png;
ReadRaw read_ppm;

/// Writes uint8 [H, W, bands], contiguous.
std::string write_jpeg(const torch::Tensor& pixels, int quality);
std::string write_png(const torch::Tensor& pixels);
std::string write_ppm(const torch::Tensor& pixels);

/// Throws c10::Error for an image of no pixels, or of more than `max_pixels`.
void check_pixel_count(int64_t width, int64_t height, int64_t max_pixels);

}  // namespace convkit::detail

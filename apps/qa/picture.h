#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>

/// Pictures in and out, for the app of question 2.
namespace qa {

/// A PNG or JPEG as grey values from 0 to 1: [1, 1, H, W]. Throws std::runtime_error for a file
/// that cannot be read, has more than 64 million pixels or sides of more than 6 : 1.
at::Tensor read_picture(const std::string& file);

/// A test picture, [1, 1, 160, 240]: edges, gratings, a chessboard, discs.
at::Tensor draw_test_picture();

/// A white sheet to put pictures, kernels and labels on.
class Sheet {
 public:
  Sheet(int64_t height, int64_t width);

  /// Grey values from 0 to 1.
  void draw_grey(int64_t top, int64_t left, const at::Tensor& picture);
  /// Signed values [H, W]: blue below 0, white at 0, red above, full at +-largest, in
  /// twelve shades of each.
  void draw_signed(int64_t top, int64_t left, const at::Tensor& values, float largest);
  void draw_frame(int64_t top, int64_t left, int64_t height, int64_t width);
  /// In letters of 10 x 20 pixels, `scale` times as large.
  void write_text(int64_t top, int64_t left, const std::string& text, int64_t scale);

  /// As PNG: a whole one, or the old file. Throws std::runtime_error where that fails.
  void save(const std::string& file) const;

 private:
  at::Tensor pixels_;  // uint8 [height, width, 3]
};

}  // namespace qa

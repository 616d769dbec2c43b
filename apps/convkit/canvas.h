#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>

/// Pictures made of pixels.
namespace draw {

/// viridis, the colours of matplotlib that are as well told apart by any reader, and in grey: of
/// values [H, W] from 0, dark blue, to 1, yellow. uint8 [3, H, W].
torch::Tensor viridis(const torch::Tensor& values);

/// A picture [C, H, W] or [H, W], `factor` times as large, with sharp edges.
torch::Tensor enlarged(const torch::Tensor& picture, int64_t factor);

/// How much larger a picture becomes that is to have about `size` pixels on its longer side.
int64_t factor_to(int64_t size, const torch::Tensor& picture);

class Canvas {
 public:
  Canvas(int64_t height, int64_t width);

  /// uint8 [3, H, W]
  void paint(int64_t top, int64_t left, const torch::Tensor& picture);
  /// A frame of this colour within a box, `thick` pixels wide; what is outside of the canvas is cut.
  void frame(int64_t top, int64_t left, int64_t height, int64_t width, int64_t thick,
             uint32_t color);
  void write(int64_t top, int64_t left, const std::string& text);

  const torch::Tensor& pixels() const { return pixels_; }

  /// As PNG: a whole one, or the old file. Throws c10::Error where that fails.
  void save(const std::string& file) const;

 private:
  void fill(int64_t top, int64_t left, int64_t bottom, int64_t right, uint32_t color);

  torch::Tensor pixels_;  // uint8 [3, height, width]
};

}  // namespace draw

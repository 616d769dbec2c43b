#include "image/modes.h"

#include "compile/engines/lanes.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace convkit::detail {

using torch::Tensor;

namespace {

struct Color {
  uint8_t r, g, b, a;
};

uint8_t grey_of(const Color& color) {
  return static_cast<uint8_t>((color.r * 19595U + color.g * 38470U + color.b * 7471U + 0x8000U) >>
                              16);
}

/// a * b / 255, rounded.
int multiplied(int a, int b) {
  const int x = a * b + 128;
  return ((x >> 8) + x) >> 8;
}

Color of_cmyk(const uint8_t* cmyk) {
  const int light = 255 - cmyk[3];
  const auto part = [&](int i) {
    return static_cast<uint8_t>(std::clamp(light - multiplied(cmyk[i], light), 0, 255));
  };
  return {part(0), part(1), part(2), 255};
}

bool is_integer(const std::string& mode) {
  return mode == "I" || mode == "I;16";
}

bool is_grey(const std::string& mode) {
  return mode == "L" || mode == "LA" || is_integer(mode);
}

/// Rows of colors of an image. A color without alpha is one of those that its file calls transparent.
class Colors {
 public:
  Colors(const RawImage& image, const std::string& mode)
      : image_(image),
        width_(image.pixels.size(1)),
        // As Pillow does, which puts the key's red where the grey belongs.
        red_key_(image.mode == "RGB" && mode == "LA") {}

  void row(int64_t y, Color* to) const {
    if (is_integer(image_.mode)) {
      const auto* from = image_.pixels.const_data_ptr<int32_t>() + y * width_;
      each(to, [&](int64_t x) {
        const auto grey = static_cast<uint8_t>(std::clamp(from[x], 0, 255));
        return Color{grey, grey, grey, 255};
      });
    } else {
      const int64_t bands = image_.pixels.size(2);
      const auto* from = image_.pixels.const_data_ptr<uint8_t>() + y * width_ * bands;
      bytes(from, to);
    }
    if (image_.transparent) {
      const auto& key = *image_.transparent;
      const Color clear{static_cast<uint8_t>(key[0]), static_cast<uint8_t>(key[1]),
                        static_cast<uint8_t>(key[2]), 0};
      for (int64_t x = 0; x < width_; ++x) {
        if (to[x].r != clear.r || to[x].g != clear.g || to[x].b != clear.b) continue;
        to[x] = red_key_ ? Color{clear.r, clear.r, clear.r, 0} : clear;
      }
    }
  }

 private:
  template <typename Of>
  void each(Color* to, const Of& of) const {
    for (int64_t x = 0; x < width_; ++x) to[x] = of(x);
  }

  void bytes(const uint8_t* from, Color* to) const {
    const std::string& mode = image_.mode;
    if (mode == "L") {
      each(to, [&](int64_t x) { return Color{from[x], from[x], from[x], 255}; });
    } else if (mode == "LA") {
      each(to, [&](int64_t x) {
        return Color{from[2 * x], from[2 * x], from[2 * x], from[2 * x + 1]};
      });
    } else if (mode == "RGB") {
      each(to,
           [&](int64_t x) { return Color{from[3 * x], from[3 * x + 1], from[3 * x + 2], 255}; });
    } else if (mode == "RGBA") {
      each(to, [&](int64_t x) {
        return Color{from[4 * x], from[4 * x + 1], from[4 * x + 2], from[4 * x + 3]};
      });
    } else if (mode == "CMYK") {
      each(to, [&](int64_t x) { return of_cmyk(from + 4 * x); });
    } else {
      const uint8_t* palette = image_.palette.data();
      each(to, [&](int64_t x) {
        const uint8_t* color = palette + static_cast<std::ptrdiff_t>(4) * from[x];
        return Color{color[0], color[1], color[2], color[3]};
      });
    }
  }

  const RawImage& image_;
  int64_t width_;
  bool red_key_;
};

int64_t bands_of(const std::string& mode) {
  return mode == "LA" ? 2 : mode == "RGB" ? 3 : mode == "RGBA" || mode == "CMYK" ? 4 : 1;
}

/// One row of a mode of bytes, into its planes.
void write_row(const std::string& mode, bool from_grey, const std::vector<Color>& colors,
               const std::array<uint8_t*, 4>& to) {
  const std::size_t width = colors.size();
  if (mode == "L" || mode == "LA") {
    for (std::size_t x = 0; x < width; ++x) to[0][x] = grey_of(colors[x]);
    for (std::size_t x = 0; x < width && mode == "LA"; ++x) to[1][x] = colors[x].a;
    return;
  }
  if (mode == "CMYK") {
    // Grey is black ink alone.
    for (std::size_t x = 0; x < width; ++x) {
      const Color& color = colors[x];
      to[0][x] = from_grey ? 0 : static_cast<uint8_t>(255 - color.r);
      to[1][x] = from_grey ? 0 : static_cast<uint8_t>(255 - color.g);
      to[2][x] = from_grey ? 0 : static_cast<uint8_t>(255 - color.b);
      to[3][x] = from_grey ? static_cast<uint8_t>(255 - color.r) : 0;
    }
    return;
  }
  for (std::size_t x = 0; x < width; ++x) to[0][x] = colors[x].r;
  for (std::size_t x = 0; x < width; ++x) to[1][x] = colors[x].g;
  for (std::size_t x = 0; x < width; ++x) to[2][x] = colors[x].b;
  for (std::size_t x = 0; x < width && mode == "RGBA"; ++x) to[3][x] = colors[x].a;
}

using Bytes [[gnu::vector_size(16)]] = uint8_t;

/// 16 pixels of three bytes each, as three times 16 bytes.
CONVKIT_INLINE void take_apart(const uint8_t* from, uint8_t* r, uint8_t* g, uint8_t* b) {
  Bytes x, y, z;
  std::memcpy(&x, from, sizeof x);
  std::memcpy(&y, from + 16, sizeof y);
  std::memcpy(&z, from + 32, sizeof z);
  // The first eleven of each color come from the first 32 bytes, or ten of blue.
  const Bytes red =
      __builtin_shufflevector(x, y, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0);
  const Bytes green =
      __builtin_shufflevector(x, y, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 0, 0, 0, 0, 0);
  const Bytes blue =
      __builtin_shufflevector(x, y, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 0, 0, 0, 0, 0, 0);
  x = __builtin_shufflevector(red, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
  y = __builtin_shufflevector(green, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
  z = __builtin_shufflevector(blue, z, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
  std::memcpy(r, &x, sizeof x);
  std::memcpy(g, &y, sizeof y);
  std::memcpy(b, &z, sizeof z);
}

/// Bytes [H, W, 3] as [3, H, W]. A copy of a transposed tensor takes as long as half of reading a JPEG.
Tensor planes_of_rgb(const Tensor& pixels) {
  const int64_t count = pixels.size(0) * pixels.size(1);
  Tensor planes = at::empty({3, pixels.size(0), pixels.size(1)}, torch::kByte);
  const auto* from = pixels.const_data_ptr<uint8_t>();
  auto* r = planes.mutable_data_ptr<uint8_t>();
  auto* g = r + count;
  auto* b = g + count;
  lanes::on_this_processor([&]<typename V>() CONVKIT_INLINE_LAMBDA {
    int64_t i = 0;
    if constexpr (V::kLanes > lanes::Small::kLanes) {  // the others have no such instruction
      for (; i + 16 <= count; i += 16) take_apart(from + 3 * i, r + i, g + i, b + i);
    }
    for (; i < count; ++i) {
      r[i] = from[3 * i];
      g[i] = from[3 * i + 1];
      b[i] = from[3 * i + 2];
    }
  });
  return planes;
}

Tensor planes_of(const Tensor& pixels) {
  if (pixels.size(2) == 3) return planes_of_rgb(pixels);
  return pixels.permute({2, 0, 1}).contiguous();
}

}  // namespace

void check_mode(const char* name, const std::string& mode) {
  constexpr std::array kModes{"", "L", "LA", "RGB", "RGBA", "CMYK", "P", "I", "I;16"};
  TORCH_CHECK_VALUE(std::find(kModes.begin(), kModes.end(), mode) != kModes.end(), name,
                    ": expected a mode of L, LA, RGB, RGBA, CMYK, P, I and I;16, got ", mode);
}

Tensor in_mode(const RawImage& image, const std::string& mode) {
  if (mode.empty() || mode == image.mode) return planes_of(image.pixels);
  TORCH_CHECK(mode != "P", "an image of mode ", image.mode, ", which has no palette for mode P");
  if (is_integer(mode)) {
    if (is_integer(image.mode)) return planes_of(image.pixels);
    TORCH_CHECK(image.mode != "P" || mode == "I", "an image of mode P, expected another for ",
                mode);
    return in_mode(image, "L").to(torch::kInt);
  }
  const int64_t height = image.pixels.size(0);
  const int64_t width = image.pixels.size(1);
  Tensor pixels = at::empty({bands_of(mode), height, width}, torch::kByte);
  const Colors colors(image, mode);
  std::vector<Color> row(static_cast<std::size_t>(width));
  for (int64_t y = 0; y < height; ++y) {
    colors.row(y, row.data());
    std::array<uint8_t*, 4> to = {};
    for (int64_t band = 0; band < pixels.size(0); ++band) {
      to[static_cast<std::size_t>(band)] =
          pixels.mutable_data_ptr<uint8_t>() + (band * height + y) * width;
    }
    write_row(mode, is_grey(image.mode), row, to);
  }
  return pixels;
}

}  // namespace convkit::detail

#include "picture.h"

#include "../cli.h"
#include "../lettering.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <vector>

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

namespace qa {

namespace {

/// The whole file, so that a pipe works as well.
std::vector<unsigned char> read_bytes(const std::string& file) {
  constexpr std::streamsize most = 256 << 20;
  std::ifstream stream(file, std::ios::binary);
  std::vector<unsigned char> bytes;
  std::vector<char> block(1 << 20);
  while (stream.read(block.data(), static_cast<std::streamsize>(block.size())),
         stream.gcount() > 0) {
    bytes.insert(bytes.end(), block.data(), block.data() + stream.gcount());
    if (static_cast<std::streamsize>(bytes.size()) > most) {
      throw std::runtime_error("'" + file + "' has more than 256 MiB");
    }
  }
  if (!stream.eof()) {
    throw std::runtime_error("cannot read '" + file + "': " + std::strerror(errno));
  }
  return bytes;
}

}  // namespace

at::Tensor read_picture(const std::string& file) {
  constexpr int64_t largest = 64'000'000;
  int width = 0;
  int height = 0;
  int channels = 0;
  const std::vector<unsigned char> bytes = read_bytes(file);
  const int size = static_cast<int>(bytes.size());
  if (stbi_info_from_memory(bytes.data(), size, &width, &height, &channels) == 0) {
    throw std::runtime_error("cannot read '" + file + "' as PNG or JPEG: " + stbi_failure_reason());
  }
  if (int64_t{width} * height > largest) {
    throw std::runtime_error("'" + file + "' has more than 64 million pixels");
  }
  if (std::max(width, height) > int64_t{6} * std::min(width, height)) {
    throw std::runtime_error("'" + file + "': expected sides of at most 6 : 1, got " +
                             std::to_string(width) + " x " + std::to_string(height));
  }
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), size, &width, &height, &channels, 1), stbi_image_free);
  if (pixels == nullptr) {
    throw std::runtime_error("cannot read '" + file + "': " + stbi_failure_reason());
  }
  return at::from_blob(pixels.get(), {1, 1, height, width}, at::kByte).to(at::kFloat) / 255;
}

at::Tensor draw_test_picture() {
  constexpr int64_t height = 160;
  constexpr int64_t width = 240;
  const at::Tensor y = at::arange(height, at::kFloat).unsqueeze(1).expand({height, width});
  const at::Tensor x = at::arange(width, at::kFloat).expand({height, width});
  const auto inside = [&](int64_t top, int64_t left, int64_t bottom, int64_t right) {
    return (y >= top) & (y < bottom) & (x >= left) & (x < right);
  };
  const auto disc = [&](int64_t row, int64_t column, double radius) {
    return (y - row).square() + (x - column).square() <= radius * radius;
  };
  at::Tensor picture = at::full({height, width}, 0.5F);
  // Edges: a bright square, a dark bar, a triangle.
  picture = picture.masked_fill(inside(12, 10, 42, 40), 1).masked_fill(inside(12, 52, 42, 58), 0);
  picture = picture.masked_fill(inside(12, 66, 42, 110) & ((x - 66) * 30 >= (42 - y) * 44), 1);
  // Gratings: upright, lying, oblique; a fine and a coarse chessboard.
  const double turn = 6.283185307179586;
  picture = at::where(inside(56, 10, 98, 42), 0.5 + 0.5 * at::sin(x * (turn / 4)), picture);
  picture = at::where(inside(56, 46, 98, 78), 0.5 + 0.5 * at::sin(y * (turn / 4)), picture);
  picture = at::where(inside(56, 82, 98, 114), 0.5 + 0.5 * at::sin((x + y) * (turn / 8)), picture);
  const auto board = [&](double square) {
    return ((x / square).floor() + (y / square).floor()).remainder(2);
  };
  picture = at::where(inside(112, 10, 150, 56), board(2), picture);
  picture = at::where(inside(112, 66, 150, 112), board(8), picture);
  // Discs of growing size, bright and dark, and single dots.
  const double radii[] = {1, 2, 3, 5, 8, 13};
  int64_t column = 128;
  for (const double radius : radii) {
    column += static_cast<int64_t>(radius) + 2;
    picture = picture.masked_fill(disc(30, column, radius), 1);
    picture = picture.masked_fill(disc(72, column, radius), 0);
    column += static_cast<int64_t>(radius) + 5;
  }
  for (int64_t i = 0; i < 24; ++i) {
    picture = picture.masked_fill(disc(104 + i * 37 % 44, 130 + i * 61 % 100, 1.5), i % 2);
  }
  return picture.view({1, 1, height, width});
}

Sheet::Sheet(int64_t height, int64_t width)
    : pixels_(at::full({height, width, 3}, 255, at::kByte)) {}

void Sheet::draw_grey(int64_t top, int64_t left, const at::Tensor& picture) {
  const at::Tensor grey = picture.view({picture.size(-2), picture.size(-1), 1}).clamp(0, 1) * 255;
  pixels_.slice(0, top, top + grey.size(0))
      .slice(1, left, left + grey.size(1))
      .copy_(grey.round().expand({-1, -1, 3}));
}

void Sheet::draw_signed(int64_t top, int64_t left, const at::Tensor& values, float largest) {
  // Root, so that weak responses are seen too; few shades, since a file of all of them is large.
  constexpr double shades = 12;
  const at::Tensor share = (values / largest).clamp(-1, 1).unsqueeze(2);
  const at::Tensor red = at::tensor({178.F, 24.F, 43.F});
  const at::Tensor blue = at::tensor({33.F, 102.F, 172.F});
  const at::Tensor colour = at::where(share >= 0, red, blue);
  const at::Tensor depth = (share.abs().sqrt() * shades).round() / shades;
  const at::Tensor shaded = 255 + depth * (colour - 255);
  pixels_.slice(0, top, top + values.size(0))
      .slice(1, left, left + values.size(1))
      .copy_(shaded.round());
}

void Sheet::draw_frame(int64_t top, int64_t left, int64_t height, int64_t width) {
  at::Tensor box = pixels_.slice(0, top - 1, top + height + 1).slice(1, left - 1, left + width + 1);
  for (const int64_t axis : {0, 1}) {
    box.select(axis, 0).fill_(120);
    box.select(axis, -1).fill_(120);
  }
}

void Sheet::write_text(int64_t top, int64_t left, const std::string& text, int64_t scale) {
  auto pixels = pixels_.accessor<uint8_t, 3>();
  lettering::write(text, [&](int64_t row, int64_t column) {
    for (int64_t y = top + scale * row; y < top + scale * (row + 1); ++y) {
      for (int64_t x = left + scale * column; x < left + scale * (column + 1); ++x) {
        if (y >= pixels.size(0) || x >= pixels.size(1)) continue;
        for (int64_t channel = 0; channel < 3; ++channel) pixels[y][x][channel] = 40;
      }
    }
  });
}

void Sheet::save(const std::string& file) const {
  std::string png;
  const auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data),
                                               static_cast<std::size_t>(size));
  };
  const at::Tensor pixels = pixels_.contiguous();
  const int width = static_cast<int>(pixels.size(1));
  stbi_write_png_to_func(append, &png, width, static_cast<int>(pixels.size(0)), 3,
                         pixels.data_ptr(), 3 * width);
  if (png.empty()) throw std::runtime_error("cannot draw " + file);
  cli::write_file(file, png);
}

}  // namespace qa

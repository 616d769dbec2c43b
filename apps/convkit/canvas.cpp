#include "canvas.h"

#include "../cli.h"
#include "../lettering.h"

#include <convkit/image.h>

#include <algorithm>
#include <array>

namespace draw {

torch::Tensor viridis(const torch::Tensor& values) {
  constexpr std::array<std::array<float, 3>, 9> kColors = {{{0x44, 0x01, 0x54},
                                                            {0x47, 0x2d, 0x7b},
                                                            {0x3b, 0x52, 0x8b},
                                                            {0x2c, 0x72, 0x8e},
                                                            {0x21, 0x91, 0x8c},
                                                            {0x28, 0xae, 0x80},
                                                            {0x5e, 0xc9, 0x62},
                                                            {0xad, 0xdc, 0x30},
                                                            {0xfd, 0xe7, 0x25}}};
  std::vector<float> flat;
  for (const auto& color : kColors) flat.insert(flat.end(), color.begin(), color.end());
  const torch::Tensor colors = torch::tensor(flat).view({9, 3});
  const torch::Tensor place = values.to(torch::kFloat).clamp(0, 1).reshape({-1}) * 8;
  const torch::Tensor below = place.floor().clamp(0, 7);
  const torch::Tensor share = (place - below).unsqueeze(1);
  const torch::Tensor first = below.to(torch::kLong);
  const torch::Tensor mixed =
      colors.index_select(0, first) * (1 - share) + colors.index_select(0, first + 1) * share;
  return mixed.round().to(torch::kByte).t().reshape({3, values.size(0), values.size(1)});
}

torch::Tensor enlarged(const torch::Tensor& picture, int64_t factor) {
  return picture.repeat_interleave(factor, -1).repeat_interleave(factor, -2);
}

int64_t factor_to(int64_t size, const torch::Tensor& picture) {
  const int64_t longer = std::max(picture.size(-1), picture.size(-2));
  return std::max<int64_t>(1, (size + longer / 2) / longer);
}

Canvas::Canvas(int64_t height, int64_t width)
    : pixels_(torch::full({3, height, width}, 255, torch::kByte)) {}

void Canvas::paint(int64_t top, int64_t left, const torch::Tensor& picture) {
  pixels_.slice(1, top, top + picture.size(1))
      .slice(2, left, left + picture.size(2))
      .copy_(picture);
}

void Canvas::fill(int64_t top, int64_t left, int64_t bottom, int64_t right, uint32_t color) {
  const auto inside = [](int64_t at, int64_t size) { return std::clamp<int64_t>(at, 0, size); };
  const torch::Tensor box =
      pixels_.slice(1, inside(top, pixels_.size(1)), inside(bottom, pixels_.size(1)))
          .slice(2, inside(left, pixels_.size(2)), inside(right, pixels_.size(2)));
  for (int64_t channel = 0; channel < 3; ++channel) {
    box.select(0, channel).fill_(static_cast<int64_t>(color >> (8 * (2 - channel)) & 0xff));
  }
}

void Canvas::frame(int64_t top, int64_t left, int64_t height, int64_t width, int64_t thick,
                   uint32_t color) {
  const int64_t bottom = top + height;
  const int64_t right = left + width;
  fill(top, left, top + thick, right, color);
  fill(bottom - thick, left, bottom, right, color);
  fill(top, left, bottom, left + thick, color);
  fill(top, right - thick, bottom, right, color);
}

void Canvas::write(int64_t top, int64_t left, const std::string& text) {
  auto pixels = pixels_.accessor<uint8_t, 3>();
  lettering::write(text, [&](int64_t row, int64_t column) {
    const int64_t y = top + row;
    const int64_t x = left + column;
    if (y < 0 || x < 0 || y >= pixels.size(1) || x >= pixels.size(2)) return;
    for (int64_t channel = 0; channel < 3; ++channel) pixels[channel][y][x] = 0x22;
  });
}

void Canvas::save(const std::string& file) const {
  cli::write_file(file, convkit::encode_image(pixels_, "png"));
}

}  // namespace draw

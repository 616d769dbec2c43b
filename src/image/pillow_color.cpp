#include "image/pillow_color.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace convkit::detail {

using torch::Tensor;

namespace {

struct Rgb {
  uint8_t red;
  uint8_t green;
  uint8_t blue;
};

struct Hsv {
  uint8_t hue;
  uint8_t saturation;
  uint8_t value;
};

/// Which operations are of type float, and which of type double, decides on the last bit.
Hsv hsv_of(const Rgb& rgb) {
  const auto [red, green, blue] = rgb;
  const uint8_t most = std::max({red, green, blue});
  const uint8_t least = std::min({red, green, blue});
  if (most == least) return {0, 0, most};
  const auto range = static_cast<float>(most - least);
  const auto below = [&](uint8_t channel) { return static_cast<float>(most - channel) / range; };
  float sixths = 0;
  if (red == most) {
    sixths = below(blue) - below(green);
  } else if (green == most) {
    sixths = static_cast<float>(2.0 + below(red) - below(blue));
  } else {
    sixths = static_cast<float>(4.0 + below(green) - below(red));
  }
  double circles = sixths / 6.0 + 1.0;
  if (circles >= 1) circles -= 1;
  const double hue = static_cast<float>(circles);
  const double saturation = range / static_cast<float>(most);
  return {static_cast<uint8_t>(hue * 255), static_cast<uint8_t>(saturation * 255), most};
}

Rgb rgb_of(const Hsv& hsv) {
  const auto [hue, saturation, value] = hsv;
  if (saturation == 0) return {value, value, value};
  const double sixths = hue * 6.0 / 255.0;
  const int sixth = static_cast<int>(sixths);
  const double rest = static_cast<float>(sixths - sixth);
  const double strength = static_cast<float>(saturation / 255.0);
  const auto less = [value = value](double part) {
    return static_cast<uint8_t>(std::round(value * (1.0 - part)));
  };
  const uint8_t low = less(strength);
  const uint8_t falling = less(strength * rest);
  const uint8_t rising = less(strength * (1.0 - rest));
  switch (sixth % 6) {
    case 0:
      return {value, rising, low};
    case 1:
      return {falling, value, low};
    case 2:
      return {low, value, rising};
    case 3:
      return {low, falling, value};
    case 4:
      return {rising, low, value};
    default:
      return {value, low, falling};
  }
}

using Table = std::array<uint8_t, 256>;

void map(const uint8_t* from, int64_t size, const Table& table, uint8_t* to) {
  for (int64_t i = 0; i < size; ++i) to[i] = table[from[i]];
}

/// The least of a channel's numbers becomes 0, and the most 255.
Table stretch(const uint8_t* pixels, int64_t size) {
  const auto [least, most] = std::minmax_element(pixels, pixels + size);
  const double low = *least;
  const double scale = *most > *least ? 255.0 / (*most - low) : 1;
  const double offset = *most > *least ? -low * scale : 0;
  Table table{};
  for (std::size_t i = 0; i < table.size(); ++i) {
    const double product = static_cast<double>(i) * scale;
    table[i] = static_cast<uint8_t>(std::clamp(product + offset, 0.0, 255.0));
  }
  return table;
}

}  // namespace

Tensor pillow_grayscale(const Tensor& image) {
  const Tensor x = image.to(torch::kInt);
  return x.select(-3, 0)
      .mul(19595)
      .add_(x.select(-3, 1), 38470)
      .add_(x.select(-3, 2), 7471)
      .add_(1 << 15)
      .bitwise_right_shift_(16)
      .to(torch::kByte)
      .unsqueeze(-3);
}

Tensor pillow_blend(const Tensor& other, const Tensor& image, double factor) {
  // The product is rounded before the sum, so this cannot be one addition with a factor.
  return image.to(torch::kFloat)
      .sub_(other)
      .mul_(static_cast<float>(factor))
      .add_(other)
      .clamp_(0, 255)
      .to(torch::kByte);
}

Tensor pillow_mean(const Tensor& image) {
  const Tensor gray = image.size(-3) == 1 ? image : pillow_grayscale(image);
  const auto pixels = static_cast<double>(image.size(-2) * image.size(-1));
  return gray.sum({-3, -2, -1}, /*keepdim=*/true, torch::kLong)
      .to(torch::kDouble)
      .div_(pixels)
      .add_(0.5)
      .to(torch::kByte);
}

Tensor pillow_turned(const Tensor& image, uint8_t turn) {
  const Tensor from = image.contiguous();
  Tensor to = at::empty_like(from);
  const int64_t plane = from.size(-2) * from.size(-1);
  const auto* const pixels = from.const_data_ptr<uint8_t>();
  auto* const result = to.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, from.numel() / 3, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i / plane * 3 * plane + i % plane;
      Hsv hsv = hsv_of({pixels[at], pixels[at + plane], pixels[at + 2 * plane]});
      hsv.hue = static_cast<uint8_t>(hsv.hue + turn);
      const Rgb rgb = rgb_of(hsv);
      result[at] = rgb.red;
      result[at + plane] = rgb.green;
      result[at + 2 * plane] = rgb.blue;
    }
  });
  return to;
}

Tensor pillow_smooth(const Tensor& image) {
  Tensor result = image.clone();
  const int64_t height = image.size(-2) - 2;
  const int64_t width = image.size(-1) - 2;
  if (height < 1 || width < 1) return result;
  const Tensor x = image.to(torch::kInt);
  const auto three = [](const Tensor& from, int64_t dim, int64_t length) {
    return from.narrow(dim, 0, length) + from.narrow(dim, 1, length) + from.narrow(dim, 2, length);
  };
  const Tensor middle = x.narrow(-2, 1, height).narrow(-1, 1, width);
  // Of the 13 parts the middle has 5. A sum is never half way between two multiples of 13.
  Tensor sum = three(three(x, -2, height), -1, width).add_(middle, 4);
  sum = sum.add_(6).div_(13, "floor");
  result.narrow(-2, 1, height).narrow(-1, 1, width).copy_(sum);
  return result;
}

Tensor pillow_mapped(const Tensor& image, const Table& table) {
  const Tensor from = image.contiguous();
  Tensor to = at::empty_like(from);
  map(from.const_data_ptr<uint8_t>(), from.numel(), table, to.mutable_data_ptr<uint8_t>());
  return to;
}

Tensor pillow_autocontrast(const Tensor& image) {
  const Tensor from = image.contiguous();
  Tensor to = at::empty_like(from);
  const int64_t plane = from.size(-2) * from.size(-1);
  for (int64_t at = 0; at < from.numel(); at += plane) {
    const uint8_t* pixels = from.const_data_ptr<uint8_t>() + at;
    map(pixels, plane, stretch(pixels, plane), to.mutable_data_ptr<uint8_t>() + at);
  }
  return to;
}

}  // namespace convkit::detail

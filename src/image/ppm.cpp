#include "image/raw_image.h"

#include <ATen/core/TensorBody.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

namespace convkit::detail {

using torch::Tensor;

namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// The numbers of a header, or of pixels that are written as text.
class PpmText {
 public:
  explicit PpmText(std::string_view text) : left_(text) {}

  int64_t number(int64_t most, const char* what) {
    skip();
    int64_t value = 0;
    int digits = 0;
    while (!left_.empty() && !is_space(left_[0])) {
      if (left_[0] == '#') {  // a number goes on in the next line
        skip_comment();
        continue;
      }
      TORCH_CHECK(left_[0] >= '0' && left_[0] <= '9',
                  "a damaged PPM: something else than a number");
      TORCH_CHECK(++digits <= 10, "a damaged PPM: ", what, " of more than 10 digits");
      value = 10 * value + (left_[0] - '0');
      left_.remove_prefix(1);
    }
    TORCH_CHECK(digits > 0, "a damaged PPM: it is cut short");
    TORCH_CHECK(value <= most, "a damaged PPM: ", what, " above ", most);
    return value;
  }

  /// Of black and white, which may stand side by side.
  bool bit() {
    skip();
    TORCH_CHECK(!left_.empty(), "a damaged PPM: it is cut short");
    const char c = left_[0];
    TORCH_CHECK(c == '0' || c == '1', "a damaged PPM: something else than 0 and 1");
    left_.remove_prefix(1);
    return c == '1';
  }

  /// What follows the header, after one space.
  std::string_view pixels() const { return left_.substr(std::min<std::size_t>(left_.size(), 1)); }

 private:
  void skip() {
    while (!left_.empty() && (is_space(left_[0]) || left_[0] == '#')) {
      if (left_[0] == '#') {
        skip_comment();
      } else {
        left_.remove_prefix(1);
      }
    }
  }

  /// With the end of its line.
  void skip_comment() {
    const std::size_t end = left_.find_first_of("\r\n");
    left_.remove_prefix(end == std::string_view::npos ? left_.size() : end + 1);
  }

  std::string_view left_;
};

/// A number up to `maxval` as one up to `most`, rounded as Python rounds.
template <typename T>
T scaled(int64_t value, int64_t maxval, int64_t most) {
  if (value >= maxval) return static_cast<T>(most);
  return static_cast<T>(std::nearbyint(static_cast<double>(value) / static_cast<double>(maxval) *
                                       static_cast<double>(most)));
}

void check_length(std::string_view bytes, int64_t length) {
  TORCH_CHECK(bytes.size() >= static_cast<std::size_t>(length), "a damaged PPM: it is cut short");
}

void read_bits(std::string_view bytes, const Tensor& pixels) {
  const int64_t row_bytes = (pixels.size(1) + 7) / 8;
  check_length(bytes, row_bytes * pixels.size(0));
  auto* to = pixels.mutable_data_ptr<uint8_t>();
  for (int64_t y = 0; y < pixels.size(0); ++y) {
    const char* row = bytes.data() + y * row_bytes;
    for (int64_t x = 0; x < pixels.size(1); ++x)
      *to++ = (row[x / 8] >> (7 - x % 8) & 1) != 0 ? 0 : 255;
  }
}

template <typename T>
void read_numbers(std::string_view bytes, int64_t maxval, int64_t most, const Tensor& pixels) {
  auto* to = pixels.mutable_data_ptr<T>();
  const int64_t count = pixels.numel();
  check_length(bytes, maxval > 255 ? 2 * count : count);
  const auto* from = reinterpret_cast<const uint8_t*>(bytes.data());
  if (maxval == most && most == 255) {
    std::memcpy(to, from, static_cast<std::size_t>(count));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t value = maxval > 255 ? from[2 * i] * 256 + from[2 * i + 1] : from[i];
    to[i] = scaled<T>(value, maxval, most);
  }
}

template <typename T>
void read_text(PpmText& text, int64_t maxval, int64_t most, const Tensor& pixels) {
  auto* to = pixels.mutable_data_ptr<T>();
  for (int64_t i = 0; i < pixels.numel(); ++i)
    to[i] = scaled<T>(text.number(maxval, "a pixel"), maxval, most);
}

}  // namespace

RawImage read_ppm(std::string_view bytes, int64_t max_pixels) {
  const char kind = bytes.size() > 2 && is_space(bytes[2]) ? bytes[1] : '?';
  TORCH_CHECK(kind >= '1' && kind <= '6', "a PPM of an unknown kind, expected P1 to P6");
  PpmText text(bytes.substr(2));
  constexpr int64_t kMostSide = 2'147'483'647;
  const int64_t width = text.number(kMostSide, "a side");
  const int64_t height = text.number(kMostSide, "a side");
  check_pixel_count(width, height, max_pixels);
  const bool is_text = kind <= '3';
  const bool is_black_and_white = kind == '1' || kind == '4';
  const int64_t bands = kind == '3' || kind == '6' ? 3 : 1;
  const int64_t maxval = is_black_and_white ? 1 : text.number(65535, "a largest pixel");
  TORCH_CHECK(maxval > 0, "a damaged PPM: a largest pixel of 0");
  // A pixel is at least one character, or one bit.
  check_length(bytes, is_text ? width * height * bands : width * height / 8);

  RawImage image;
  const bool is_integer = maxval > 255 && bands == 1;
  const int64_t most = is_integer ? 65535 : 255;
  image.mode = bands == 3 ? "RGB" : is_integer ? "I" : "L";
  image.pixels = at::empty({height, width, bands}, is_integer ? torch::kInt : torch::kByte);
  if (kind == '1') {
    auto* to = image.pixels.mutable_data_ptr<uint8_t>();
    for (int64_t i = 0; i < width * height; ++i) to[i] = text.bit() ? 0 : 255;
  } else if (kind == '4') {
    read_bits(text.pixels(), image.pixels);
  } else if (is_text && is_integer) {
    read_text<int32_t>(text, maxval, most, image.pixels);
  } else if (is_text) {
    read_text<uint8_t>(text, maxval, most, image.pixels);
  } else if (is_integer) {
    read_numbers<int32_t>(text.pixels(), maxval, most, image.pixels);
  } else {
    read_numbers<uint8_t>(text.pixels(), maxval, most, image.pixels);
  }
  return image;
}

std::string write_ppm(const Tensor& pixels) {
  std::string bytes = pixels.size(2) == 1 ? "P5\n" : "P6\n";
  bytes += std::to_string(pixels.size(1)) + " " + std::to_string(pixels.size(0)) + "\n255\n";
  bytes.append(reinterpret_cast<const char*>(pixels.const_data_ptr<uint8_t>()),
               static_cast<std::size_t>(pixels.numel()));
  return bytes;
}

}  // namespace convkit::detail

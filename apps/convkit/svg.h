#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace draw {

// Of words, and of what explains them.
constexpr auto kDark = "#222222";
constexpr auto kGrey = "#555555";

struct Point {
  int64_t x;
  int64_t y;
};

struct Box {
  int64_t x;
  int64_t y;
  int64_t width;
  int64_t height;
};

/// Text as XML may hold it, between tags and in attributes.
std::string escaped(std::string_view text);

/// The elements of an SVG, in whole pixels: the same bytes on every machine. Attributes are given as
/// they are to stand in the file; texts are escaped here.
class Svg {
 public:
  void open_group(std::string_view attributes);
  void close_group();
  void rect(const Box& box, std::string_view attributes = "");
  void path(std::string_view d, std::string_view attributes = "");
  void text(const Point& at, std::string_view text, std::string_view attributes = "");
  /// A text of which the name is bold.
  void named_text(const Point& at, std::string_view name, std::string_view rest,
                  std::string_view attributes = "");
  /// What a browser shows where the pointer rests on the group that is open.
  void title(std::string_view text);

  const std::string& elements() const { return elements_; }

 private:
  void add(std::string_view element);

  std::string elements_;
  std::size_t depth_ = 1;
};

}  // namespace draw

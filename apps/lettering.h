#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

/// Letters for pictures made of pixels, all of one size.
namespace lettering {

constexpr int64_t kWidth = 10;
constexpr int64_t kHeight = 20;

/// How many letters a text has. Of UTF-8 only ASCII and the sign × have pixels; others are blank.
int64_t count(std::string_view text);

/// Calls `set` for each pixel that the text blackens.
void write(std::string_view text, const std::function<void(int64_t row, int64_t column)>& set);

}  // namespace lettering

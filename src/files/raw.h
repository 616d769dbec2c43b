#pragma once

#include <string>
#include <type_traits>

namespace convkit::detail {

/// A number's bytes, little-endian as files have them.
template <typename T>
  requires std::is_integral_v<T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

}  // namespace convkit::detail

#include "core/text.h"

#include <cstddef>
#include <cstdint>

namespace convkit::detail {
namespace {

/// What a text begins with.
struct Character {
  std::size_t size = 1;         // in bytes, of those that cannot be decoded too
  std::optional<uint32_t> code;  // nothing where the bytes are not UTF-8
};

/// Decodes the first character by Unicode's table of well-formed sequences, in which only the second
/// byte's range depends on the first. What breaks a sequence is not a part of it.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return {1, lead};
  if (lead < 0xc2 || lead > 0xf4) return {1, std::nullopt};
  const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  uint32_t code = lead & (0x7fU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    const bool second = i == 1;
    if (i == text.size() || byte(i) < (second ? lowest : 0x80) ||
        byte(i) > (second ? highest : 0xbf)) {
      return {i, std::nullopt};
    }
    code = code << 6 | (byte(i) & 0x3fU);
  }
  return {size, code};
}

/// Appends \uXXXX.
void append_unit(std::string& out, uint32_t unit) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += "0123456789abcdef"[unit >> shift & 15];
}

/// Appends an escape, of a pair of surrogates for what is beyond U+FFFF.
void append_escape(std::string& out, uint32_t code) {
  constexpr std::string_view names = "b\bf\fn\nr\rt\t\"\"\\\\";
  for (std::size_t i = 0; i < names.size(); i += 2) {
    if (code == static_cast<unsigned char>(names[i + 1])) {
      out += '\\';
      out += names[i];
      return;
    }
  }
  if (code <= 0xffff) {
    append_unit(out, code);
  } else {
    append_unit(out, 0xd7c0 + (code >> 10));
    append_unit(out, 0xdc00 + (code & 0x3ff));
  }
}

bool has_escape(uint32_t code) {
  return code < ' ' || code == '"' || code == '\\';
}

}  // namespace

std::string quoted_ascii(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Character found = first_character(text);
    const uint32_t code = found.code.value_or(0xfffd);
    if (has_escape(code) || code >= 0x7f) {
      append_escape(out, code);
    } else {
      out += static_cast<char>(code);
    }
    text.remove_prefix(found.size);
  }
  return out + '"';
}

std::optional<std::string> json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Character found = first_character(text);
    if (!found.code) return std::nullopt;
    if (has_escape(*found.code)) {
      append_escape(out, *found.code);
    } else {
      out += text.substr(0, found.size);
    }
    text.remove_prefix(found.size);
  }
  return out + '"';
}

}  // namespace convkit::detail

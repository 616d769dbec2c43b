#pragma once

#include <optional>
#include <string>
#include <string_view>

// As convkit/module.h has it, whose headers of LibTorch this one does without: apps include it.
#ifndef CONVKIT_API
#define CONVKIT_API __attribute__((visibility("default")))
#endif

/// Texts of files and command lines, as errors, terminals and JSON take them.
namespace convkit::detail {

/// The text as a JSON string, in ASCII: quoted, control characters and those beyond ASCII escaped.
/// Bytes that are not UTF-8 become U+FFFD, so that any bytes can be shown.
CONVKIT_API std::string quoted_ascii(std::string_view text);

/// The text as a JSON string, its characters beyond ASCII as they are; nothing if it is not UTF-8.
std::optional<std::string> json_string(std::string_view text);

}  // namespace convkit::detail

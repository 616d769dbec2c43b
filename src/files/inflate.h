#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace convkit::detail {

/// What bytes that were compressed by DEFLATE (RFC 1951) say. Nothing for bytes that were not, and
/// for those that say more than `most` bytes.
std::optional<std::string> inflate(std::string_view bytes, std::size_t most);

}  // namespace convkit::detail

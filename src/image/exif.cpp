#include "image/exif.h"

#include <cstddef>

namespace convkit::detail {

namespace {

/// The numbers of a TIFF file, in its order of bytes; those after its end are 0.
struct Tiff {
  uint32_t number(uint64_t offset, uint64_t size) const {
    uint32_t value = 0;
    if (offset > bytes.size() || size > bytes.size() - offset) return 0;
    for (uint64_t i = 0; i < size; ++i) {
      const uint64_t at = offset + (is_little ? size - 1 - i : i);
      value = value << 8 | static_cast<uint8_t>(bytes[static_cast<std::size_t>(at)]);
    }
    return value;
  }

  std::string_view bytes;
  bool is_little;
};

}  // namespace

int64_t exif_orientation(std::string_view exif) {
  constexpr uint32_t kOrientation = 0x0112;
  constexpr uint64_t kEntry = 12;  // tag, type, count, and the value or where it is
  if (!exif.starts_with("II") && !exif.starts_with("MM")) return 1;
  const Tiff tiff{exif, exif[0] == 'I'};
  if (tiff.number(2, 2) != 42) return 1;
  const uint64_t directory = tiff.number(4, 4);
  const uint64_t count = tiff.number(directory, 2);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t entry = directory + 2 + kEntry * i;
    if (tiff.number(entry, 2) != kOrientation) continue;
    const uint32_t type = tiff.number(entry + 2, 2);
    if (tiff.number(entry + 4, 4) != 1) return 1;
    const uint64_t size = type == 3 ? 2 : type == 4 ? 4 : 0;
    const uint32_t value = tiff.number(entry + 8, size);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

}  // namespace convkit::detail

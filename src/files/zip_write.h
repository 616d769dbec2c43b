#pragma once

#include "files/file.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace convkit::detail {

/// Writes a zip file of records that are not compressed, each at a multiple of 64 bytes, by zip64
/// where numbers are too large.
class ZipWriter {
 public:
  explicit ZipWriter(const TakeBytes& take) : take_(take) {}

  void add(const std::string& name, std::string_view bytes);
  /// Writes the directory of the records, with which a zip file ends.
  void finish();

 private:
  void write(std::string_view bytes);

  const TakeBytes& take_;
  uint64_t at_ = 0;
  uint64_t begin_ = 0;  // of the next record
  uint64_t count_ = 0;
  std::string directory_;
};

}  // namespace convkit::detail

#pragma once

#include "files/file.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace convkit::detail {

/// Writes a zip file of records that are not compressed, each at a multiple of 64 bytes, by zip64
/// where numbers are too large. It is there once commit() returns.
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : file_(path) {}

  void add(const std::string& name, std::string_view bytes);
  void commit();

 private:
  void write(std::string_view bytes);

  NewFile file_;
  uint64_t at_ = 0;
  uint64_t begin_ = 0;  // of the next record
  uint64_t count_ = 0;
  std::string directory_;
};

}  // namespace convkit::detail

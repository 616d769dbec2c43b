#pragma once

#include "files/file.h"

#include <map>
#include <string>
#include <string_view>

namespace convkit::detail {

/// A record as it lies in the file.
struct ZipRecord {
  std::string_view bytes;
  bool stored;  // not compressed
  bool encrypted;
};

using ZipRecords = std::map<std::string, ZipRecord, std::less<>>;

/// The records of a zip file, zip64 or not, by name. Throws c10::Error for a name that comes twice,
/// and for any number that does not fit the file.
ZipRecords read_zip(const MappedFile& file);

}  // namespace convkit::detail

#include "files/zip_read.h"

#include <c10/util/Exception.h>

#include <cstring>

namespace convkit::detail {
namespace {

// The records' names and sizes are in a directory at the end: entries, then where it begins and how
// many they are; numbers too large for that are in a zip64 record before it.
constexpr std::string_view kLocalHeader = "PK\3\4";
constexpr std::string_view kEntry = "PK\1\2";
constexpr std::string_view kEnd = "PK\5\6";
constexpr std::string_view kEnd64 = "PK\6\6";
constexpr std::string_view kLocator64 = "PK\6\7";
constexpr uint32_t kIn64 = 0xffffffff;  // "see the zip64 field"

class ZipReader {
 public:
  explicit ZipReader(const MappedFile& file) : file_(file), bytes_(file.bytes()) {}

  ZipRecords read() {
    const Directory directory = find_directory();
    ZipRecords records;
    uint64_t at = directory.begin;
    for (uint64_t i = 0; i < directory.count; ++i) at = read_entry(at, records);
    return records;
  }

 private:
  struct Directory {
    uint64_t begin;
    uint64_t count;
  };

  template <typename... Got>
  [[noreturn]] void fail(const Got&... got) const {
    TORCH_CHECK(false, "load_checkpoint: ", file_.path(),
                ": expected a whole zip file, as torch.save writes it, got ", got...,
                " (an interrupted download?)");
  }

  void need(uint64_t at, uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) {
      fail("one that ends at byte ", bytes_.size(), " of at least ", at, " + ", size);
    }
  }

  template <typename T>
  T number(uint64_t at) const {
    need(at, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }

  bool has(std::string_view signature, uint64_t at) const {
    return at <= bytes_.size() && bytes_.substr(at).starts_with(signature);
  }

  Directory find_directory() const {
    // A comment of up to 64 KiB may follow the end.
    constexpr uint64_t kFarthest = 22 + 0xffff;
    const uint64_t first = bytes_.size() > kFarthest ? bytes_.size() - kFarthest : 0;
    const std::size_t found = bytes_.substr(first).rfind(kEnd);
    if (found == std::string_view::npos) fail("one without its directory");
    const uint64_t end = first + found;
    need(end, 22);
    need(end + 22, number<uint16_t>(end + 20));
    Directory directory{number<uint32_t>(end + 16), number<uint16_t>(end + 10)};
    if (end >= 20 && has(kLocator64, end - 20)) {
      const auto end64 = number<uint64_t>(end - 20 + 8);
      need(end64, 56);
      if (has(kEnd64, end64)) {
        directory = {number<uint64_t>(end64 + 48), number<uint64_t>(end64 + 32)};
      }
    }
    return directory;
  }

  /// Adds the record; returns where the next entry begins.
  uint64_t read_entry(uint64_t at, ZipRecords& records) {
    need(at, 46);
    if (!has(kEntry, at)) fail("a directory that is broken at byte ", at);
    const auto flags = number<uint16_t>(at + 8);
    const auto method = number<uint16_t>(at + 10);
    uint64_t stored = number<uint32_t>(at + 20);
    uint64_t size = number<uint32_t>(at + 24);
    uint64_t header = number<uint32_t>(at + 42);
    const auto name_size = number<uint16_t>(at + 28);
    const auto extra_size = number<uint16_t>(at + 30);
    const auto comment_size = number<uint16_t>(at + 32);
    need(at + 46, uint64_t{name_size} + extra_size + comment_size);
    const std::string name(bytes_.substr(at + 46, name_size));
    read_zip64(bytes_.substr(at + 46 + name_size, extra_size), size, stored, header);

    const bool uncompressed = method == 0;
    if (uncompressed && stored != size) {
      fail("two sizes of the record ", shown(name), ": ", stored, " and ", size);
    }
    if (!has(kLocalHeader, header)) fail("a wrong place of the record ", shown(name));
    need(header, 30);
    const uint64_t data =
        header + 30 + number<uint16_t>(header + 26) + number<uint16_t>(header + 28);
    need(data, stored);
    const ZipRecord record{bytes_.substr(data, stored), uncompressed, (flags & 1) != 0};
    if (!records.emplace(name, record).second) {
      fail("two records ", shown(name));
    }
    return at + 46 + name_size + extra_size + comment_size;
  }

  /// The extra field of id 1 has those of the three numbers that are too large for their own place.
  void read_zip64(std::string_view extra, uint64_t& size, uint64_t& stored,
                  uint64_t& header) const {
    while (extra.size() >= 4) {
      uint16_t id = 0;
      uint16_t length = 0;
      std::memcpy(&id, extra.data(), 2);
      std::memcpy(&length, extra.data() + 2, 2);
      extra.remove_prefix(4);
      if (length > extra.size()) fail("a broken extra field in its directory");
      std::string_view field = extra.substr(0, length);
      extra.remove_prefix(length);
      if (id != 1) continue;
      for (uint64_t* value : {&size, &stored, &header}) {
        if (*value != kIn64) continue;
        if (field.size() < 8) fail("a broken zip64 field in its directory");
        std::memcpy(value, field.data(), 8);
        field.remove_prefix(8);
      }
    }
  }

  const MappedFile& file_;
  const std::string_view bytes_;
};

}  // namespace

ZipRecords read_zip(const MappedFile& file) {
  return ZipReader(file).read();
}

}  // namespace convkit::detail

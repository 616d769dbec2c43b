#include "files/zip_write.h"

#include "files/raw.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace convkit::detail {
namespace {

using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr CrcTables crc_tables() {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    tables[0][i] = crc;
  }
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t j = 1; j < 8; ++j) {
      tables[j][i] = tables[j - 1][i] >> 8 ^ tables[0][tables[j - 1][i] & 0xff];
    }
  }
  return tables;
}

constexpr CrcTables kCrcTables = crc_tables();

/// The CRC-32 that zip files have. It takes eight bytes at a time: their look-ups do not wait for
/// each other.
uint32_t crc32_of(std::string_view bytes) {
  uint32_t crc = ~0U;
  while (bytes.size() >= 8) {
    uint64_t next = 0;
    std::memcpy(&next, bytes.data(), 8);
    next ^= crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= kCrcTables[7 - i][next >> (8 * i) & 0xff];
    bytes.remove_prefix(8);
  }
  for (const char byte : bytes) {
    crc = crc >> 8 ^ kCrcTables[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return ~crc;
}

constexpr uint64_t kZip64 = 0xffffffff;  // "see the zip64 field"
constexpr uint16_t kZipVersion = 45;     // the first that knows zip64

/// The part that both headers of a record have: nothing special, stored, 1980-01-01, sizes.
std::string common_header(const std::string& name, uint32_t crc, uint64_t size) {
  constexpr uint16_t kUtf8 = 1 << 11;
  constexpr uint16_t kStored = 0;
  const auto in32 = static_cast<uint32_t>(size);
  return raw(kUtf8) + raw(kStored) + raw<uint16_t>(0) + raw<uint16_t>(0x21) + raw(crc) + raw(in32) +
         raw(in32) + raw(static_cast<uint16_t>(name.size()));
}

}  // namespace

void ZipWriter::add(const std::string& name, std::string_view bytes) {
  const bool large = bytes.size() >= kZip64 || at_ >= kZip64;
  const uint32_t crc = crc32_of(bytes);
  std::string extra = large ? raw<uint16_t>(1) + raw<uint16_t>(16) + raw<uint64_t>(bytes.size()) +
                                  raw<uint64_t>(bytes.size())
                            : "";
  const uint64_t unpadded = at_ + 30 + name.size() + extra.size() + 4;
  const auto padding = static_cast<uint16_t>((64 - unpadded % 64) % 64);
  extra += "FB" + raw(padding) + std::string(padding, 'Z');
  const std::string common = common_header(name, crc, large ? kZip64 : bytes.size());
  write("PK\3\4" + raw(kZipVersion) + common + raw(static_cast<uint16_t>(extra.size())) + name +
        extra);
  directory_ += "PK\1\2" + raw(kZipVersion) + raw(kZipVersion) + common;
  const std::string central = large ? raw<uint16_t>(1) + raw<uint16_t>(24) +
                                          raw<uint64_t>(bytes.size()) +
                                          raw<uint64_t>(bytes.size()) + raw<uint64_t>(begin_)
                                    : "";
  directory_ += raw(static_cast<uint16_t>(central.size())) + std::string(10, '\0') +
                raw(static_cast<uint32_t>(large ? kZip64 : begin_)) + name + central;
  write(bytes);
  begin_ = at_;
  ++count_;
}

void ZipWriter::finish() {
  const uint64_t directory = at_;
  write(directory_);
  const uint64_t end64 = at_;
  write("PK\6\6" + raw<uint64_t>(44) + raw(kZipVersion) + raw(kZipVersion) + raw<uint64_t>(0) +
        raw(count_) + raw(count_) + raw<uint64_t>(directory_.size()) + raw(directory));
  write("PK\6\7" + raw<uint32_t>(0) + raw(end64) + raw<uint32_t>(1));
  const auto count = static_cast<uint16_t>(std::min<uint64_t>(count_, 0xffff));
  write("PK\5\6" + raw<uint32_t>(0) + raw(count) + raw(count) +
        raw(static_cast<uint32_t>(std::min<uint64_t>(directory_.size(), kZip64))) +
        raw(static_cast<uint32_t>(std::min<uint64_t>(directory, kZip64))) + raw<uint16_t>(0));
}

void ZipWriter::write(std::string_view bytes) {
  take_(bytes);
  at_ += bytes.size();
}

}  // namespace convkit::detail

// Writes what torch.load reads: a zip file of a pickle and a record for each storage.
#include "files/formats.h"

#include <ATen/ops/empty.h>

#include <array>
#include <bit>
#include <cstring>
#include <unordered_map>

namespace convkit::detail {
namespace {

using c10::ScalarType;

// ---------------------------------------------------------------------------------------- pickle

/// Integers as the file has them.
template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

/// The opcodes of protocol 2 that an OrderedDict of tensors takes.
std::string pickled_text(const std::string& text) {
  return "X" + raw(static_cast<uint32_t>(text.size())) + text;
}
std::string pickled_number(int64_t value) {
  return "\x8a\x08" + raw(value);
}
std::string pickled_numbers(torch::IntArrayRef values) {
  std::string tuple = "(";
  for (const int64_t value : values) tuple += pickled_number(value);
  return tuple + "t";
}
std::string pickled_global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string pickled_bool(bool value) {
  return value ? "\x88" : "\x89";
}
std::string empty_ordered_dict() {
  return pickled_global("collections", "OrderedDict") + ")R";
}

/// torch.FloatStorage and its kin; empty for the types that came after them.
std::string storage_name(ScalarType type) {
  switch (type) {
    case ScalarType::Float:
      return "FloatStorage";
    case ScalarType::Double:
      return "DoubleStorage";
    case ScalarType::Half:
      return "HalfStorage";
    case ScalarType::BFloat16:
      return "BFloat16Storage";
    case ScalarType::Long:
      return "LongStorage";
    case ScalarType::Int:
      return "IntStorage";
    case ScalarType::Short:
      return "ShortStorage";
    case ScalarType::Char:
      return "CharStorage";
    case ScalarType::Byte:
      return "ByteStorage";
    case ScalarType::Bool:
      return "BoolStorage";
    case ScalarType::ComplexFloat:
      return "ComplexFloatStorage";
    case ScalarType::ComplexDouble:
      return "ComplexDoubleStorage";
    default:
      return "";
  }
}

/// The storages of a state_dict in the order of their first tensors, each once.
class Storages {
 public:
  struct Entry {
    torch::Tensor owner;  // any tensor that has it
    ScalarType type;
    bool typed;  // by a storage class of its own: one type for all its tensors
  };

  explicit Storages(const StateDict& state) {
    for (const auto& item : state) {
      const torch::Tensor& tensor = item.value();
      const ScalarType type = tensor.scalar_type();
      const auto [found, added] = numbers_.emplace(key(tensor), entries.size());
      if (added) {
        const bool whole = tensor.storage().nbytes() % tensor.element_size() == 0;
        entries.push_back({tensor, type, whole && !storage_name(type).empty()});
      } else if (entries[found->second].type != type) {
        entries[found->second].typed = false;
      }
    }
  }

  std::size_t number(const torch::Tensor& tensor) const { return numbers_.at(key(tensor)); }

  std::vector<Entry> entries;

 private:
  static const void* key(const torch::Tensor& tensor) {
    return tensor.storage().unsafeGetStorageImpl();
  }
  std::unordered_map<const void*, std::size_t> numbers_;
};

std::string pickled(const torch::Tensor& tensor, const Storages& storages) {
  const std::size_t number = storages.number(tensor);
  const bool typed = storages.entries[number].typed;
  const auto bytes = static_cast<int64_t>(tensor.storage().nbytes());
  std::string text =
      pickled_global("torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
  text += "((" + pickled_text("storage");
  text += typed ? pickled_global("torch", storage_name(tensor.scalar_type()))
                : pickled_global("torch.storage", "UntypedStorage");
  text += pickled_text(std::to_string(number)) + pickled_text("cpu");
  text +=
      pickled_number(typed ? bytes / static_cast<int64_t>(tensor.element_size()) : bytes) + "tQ";
  text += pickled_number(tensor.storage_offset()) + pickled_numbers(tensor.sizes()) +
          pickled_numbers(tensor.strides());
  text += pickled_bool(false) + empty_ordered_dict();
  if (!typed) {
    text += pickled_global("torch", std::string(c10::getDtypeNames(tensor.scalar_type()).first));
  }
  if (tensor.is_conj() || tensor.is_neg()) {
    text += "}(";
    if (tensor.is_conj()) text += pickled_text("conj") + pickled_bool(true);
    if (tensor.is_neg()) text += pickled_text("neg") + pickled_bool(true);
    text += "u";
  }
  return text + "tR";
}

std::string pickled(const StateDict& state, const Storages& storages) {
  std::string text = "\x80\x02" + empty_ordered_dict() + "(";
  for (const auto& entry : state) {
    text += pickled_text(entry.key()) + pickled(entry.value(), storages);
  }
  return text + "u.";
}

// ------------------------------------------------------------------------------------------- zip

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

/// CRC-32 of zip files, eight bytes at a time: one table look-up for each instead of one after the
/// other.
class Crc32 {
 public:
  uint32_t operator()(std::string_view bytes) const {
    uint32_t crc = ~0U;
    while (bytes.size() >= 8) {
      uint64_t next = 0;
      std::memcpy(&next, bytes.data(), 8);
      next ^= crc;
      crc = 0;
      for (std::size_t i = 0; i < 8; ++i) crc ^= tables_[7 - i][next >> (8 * i) & 0xff];
      bytes.remove_prefix(8);
    }
    for (const char byte : bytes) {
      crc = crc >> 8 ^ tables_[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff];
    }
    return ~crc;
  }

 private:
  static constexpr CrcTables tables_ = crc_tables();
};

/// Stores records, each at a multiple of 64 bytes; zip64 where numbers are too large.
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : file_(path) {}

  void add(const std::string& name, std::string_view bytes) {
    const bool large = bytes.size() >= kIn64 || at_ >= kIn64;
    const uint32_t crc = Crc32()(bytes);
    std::string extra = large ? raw<uint16_t>(1) + raw<uint16_t>(16) + raw<uint64_t>(bytes.size()) +
                                    raw<uint64_t>(bytes.size())
                              : "";
    const uint64_t unpadded = at_ + 30 + name.size() + extra.size() + 4;
    const auto padding = static_cast<uint16_t>((64 - unpadded % 64) % 64);
    extra += "FB" + raw(padding) + std::string(padding, 'Z');
    const std::string common = about(name, crc, large ? kIn64 : bytes.size());
    write("PK\3\4" + raw(kVersion) + common + raw(static_cast<uint16_t>(extra.size())) + name +
          extra);
    directory_ += "PK\1\2" + raw(kVersion) + raw(kVersion) + common;
    const std::string central = large ? raw<uint16_t>(1) + raw<uint16_t>(24) +
                                            raw<uint64_t>(bytes.size()) +
                                            raw<uint64_t>(bytes.size()) + raw<uint64_t>(begin_)
                                      : "";
    directory_ += raw(static_cast<uint16_t>(central.size())) + std::string(10, '\0') +
                  raw(static_cast<uint32_t>(large ? kIn64 : begin_)) + name + central;
    write(bytes);
    begin_ = at_;
    ++count_;
  }

  void commit() {
    const uint64_t directory = at_;
    write(directory_);
    const uint64_t end64 = at_;
    write("PK\6\6" + raw<uint64_t>(44) + raw(kVersion) + raw(kVersion) + raw<uint64_t>(0) +
          raw(count_) + raw(count_) + raw<uint64_t>(directory_.size()) + raw(directory));
    write("PK\6\7" + raw<uint32_t>(0) + raw(end64) + raw<uint32_t>(1));
    const auto count = static_cast<uint16_t>(std::min<uint64_t>(count_, 0xffff));
    write("PK\5\6" + raw<uint32_t>(0) + raw(count) + raw(count) +
          raw(static_cast<uint32_t>(std::min<uint64_t>(directory_.size(), kIn64))) +
          raw(static_cast<uint32_t>(std::min<uint64_t>(directory, kIn64))) + raw<uint16_t>(0));
    file_.commit();
  }

 private:
  static constexpr uint64_t kIn64 = 0xffffffff;  // "see the zip64 field"
  static constexpr uint16_t kVersion = 45;       // the first that knows zip64

  /// What both headers of a record say: nothing special, stored, 1980-01-01, sizes.
  static std::string about(const std::string& name, uint32_t crc, uint64_t size) {
    constexpr uint16_t kUtf8 = 1 << 11;
    constexpr uint16_t kStored = 0;
    const auto in32 = static_cast<uint32_t>(size);
    return raw(kUtf8) + raw(kStored) + raw<uint16_t>(0) + raw<uint16_t>(0x21) + raw(crc) +
           raw(in32) + raw(in32) + raw(static_cast<uint16_t>(name.size()));
  }

  void write(std::string_view bytes) {
    file_.write(bytes);
    at_ += bytes.size();
  }

  NewFile file_;
  uint64_t at_ = 0;
  uint64_t begin_ = 0;  // of the next record
  uint64_t count_ = 0;
  std::string directory_;
};

}  // namespace

void write_torch_zip(const std::string& path, const StateDict& state) {
  const Storages storages(state);
  ZipWriter zip(path);
  zip.add("archive/data.pkl", pickled(state, storages));
  zip.add("archive/byteorder", "little");
  for (std::size_t i = 0; i < storages.entries.size(); ++i) {
    // A copy where the storage is on another device.
    const torch::Storage& storage = storages.entries[i].owner.storage();
    const auto size = static_cast<int64_t>(storage.nbytes());
    const torch::Tensor bytes =
        at::empty({0}, torch::TensorOptions(torch::kByte).device(storage.device()))
            .set_(storage, 0, {size}, {1})
            .cpu();
    zip.add("archive/data/" + std::to_string(i),
            {static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::size_t>(size)});
  }
  zip.add("archive/version", "3\n");
  zip.commit();
}

}  // namespace convkit::detail

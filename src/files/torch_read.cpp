// Reads what torch.save wrote.
#include "files/torch_read.h"

#include "files/foreign.h"
#include "files/named_tensors.h"
#include "files/pickle_checkpoint.h"
#include "files/pickle_machine.h"
#include "files/problem.h"
#include "files/script_classes.h"
#include "files/zip_read.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <optional>

namespace convkit::detail {
namespace {

using c10::ScalarType;

constexpr const char* kSaveLittle = ": save it again by torch.save on a little-endian machine";

// How an old file begins: the number 0x1950a86a20f9469cfc6c, in the bytes of a pickle, or in the
// digits that protocol 1 has.
constexpr std::string_view kMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr std::string_view kMagicOfProtocol1 = "L119547037146038801333356L\n.";

/// The type of the numbers in torch.FloatStorage and its kin, torch.cuda's among them.
std::optional<ScalarType> storage_type(const PickleGlobal& global) {
  struct StorageClass {
    std::string_view name;
    ScalarType type;
  };
  constexpr StorageClass kKnown[] = {
      {"FloatStorage", ScalarType::Float},
      {"DoubleStorage", ScalarType::Double},
      {"HalfStorage", ScalarType::Half},
      {"BFloat16Storage", ScalarType::BFloat16},
      {"LongStorage", ScalarType::Long},
      {"IntStorage", ScalarType::Int},
      {"ShortStorage", ScalarType::Short},
      {"CharStorage", ScalarType::Char},
      {"ByteStorage", ScalarType::Byte},
      {"BoolStorage", ScalarType::Bool},
      {"ComplexFloatStorage", ScalarType::ComplexFloat},
      {"ComplexDoubleStorage", ScalarType::ComplexDouble},
      {"UntypedStorage", ScalarType::Byte},
  };
  const bool torch =
      global.module == "torch" || global.module == "torch.cuda" || global.module == "torch.storage";
  for (const StorageClass& known : kKnown) {
    if (torch && known.name == global.name) return known.type;
  }
  return std::nullopt;
}

/// The type that Python calls torch.float32, or one of its kin.
std::optional<ScalarType> scalar_type_of(const PickleGlobal& global) {
  for (int i = 0; i < static_cast<int>(ScalarType::NumOptions); ++i) {
    const auto type = static_cast<ScalarType>(i);
    if (type == ScalarType::Undefined || c10::isQIntType(type)) continue;
    const auto [name, other_name] = c10::getDtypeNames(type);
    if (!global.name.empty() && (global.name == name || global.name == other_name)) return type;
  }
  return std::nullopt;
}

/// Makes tensors over the storages that a file has, each storage once.
class TensorMaker {
 public:
  /// Gives the bytes of a storage that has `size` of them; throws where there are none.
  using FindBytes = std::function<std::string_view(std::string_view key, uint64_t size)>;

  TensorMaker(std::shared_ptr<const MappedFile> file, const Pickle& pickle, FindBytes find_bytes)
      : file_(std::move(file)), pickle_(pickle), find_bytes_(std::move(find_bytes)) {
    // A storage is copied as a whole or not at all, so the strictest of its tensors decides.
    for (const PickleTensor& tensor : pickle.tensors) {
      const PickleStorage& storage = pickle.storages[pickle[tensor.storage].index];
      std::size_t& alignment = alignments_[storage.key];
      const auto type = dtype_of_tensor(tensor);
      if (type) alignment = std::max(alignment, c10::elementSize(*type));
    }
  }

  torch::Tensor operator()(Id id, const std::string& name) {
    const PickleTensor& tensor = pickle_.tensors[pickle_[id].index];
    const PickleStorage& storage = pickle_.storages[pickle_[tensor.storage].index];
    const auto stored = storage_type(pickle_.globals[pickle_[storage.type].index]);
    if (!stored) refuse(name, "a storage of numbers", global(storage.type));
    const auto named = dtype_of_tensor(tensor);
    if (!named) refuse(name, "a dtype of torch", global(tensor.dtype));
    const ScalarType type = *named;

    const std::vector<int64_t> sizes = numbers(tensor.sizes, name, "sizes");
    const std::vector<int64_t> strides = numbers(tensor.strides, name, "strides");
    if (sizes.size() != strides.size()) fail(name, "as many strides as sizes", strides.size());
    if (!pickle_.is(tensor.offset, PickleKind::kInt))
      fail(name, "a number as offset", "something else");
    __extension__ using Wide = __int128;
    const Wide offset = Wide{pickle_[tensor.offset].integer} + storage.offset;
    if (pickle_[tensor.offset].integer < 0 || storage.offset < 0)
      fail(name, "an offset >= 0", "less");

    const uint64_t element = c10::elementSize(*stored);
    if (storage.size < 0 || static_cast<uint64_t>(storage.size) > file_->size() / element) {
      fail(name, "a storage no larger than the file", storage.size);
    }
    if (storage.view_size < 0 || Wide{storage.offset} + storage.view_size > storage.size) {
      fail(name, "a view within its storage", storage.view_size);
    }
    const uint64_t bytes = static_cast<uint64_t>(storage.size) * element;
    Wide last = offset;  // and one more than the number of elements, by the same bound
    Wide count = 1;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      last += Wide{std::max<int64_t>(sizes[i], 1) - 1} * strides[i];
      count *= std::max<int64_t>(sizes[i], 1);
      if (count > std::numeric_limits<int64_t>::max() / 16)
        fail(name, "fewer than 2^59 elements", "more");
    }
    const bool empty = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
    const Wide end = (empty ? offset : last + 1) * static_cast<int64_t>(c10::elementSize(type));
    const auto whole = static_cast<uint64_t>(storage.offset + storage.view_size) * element;
    if (end > static_cast<Wide>(whole)) {
      fail(name, c10::str("elements within its storage of ", whole, " bytes"), "one beyond it");
    }

    const torch::Tensor base = storage_of(storage, bytes, *stored, name);
    torch::Tensor result = at::detail::make_tensor<c10::TensorImpl>(
        c10::Storage(base.storage()), base.key_set(), c10::scalarTypeToTypeMeta(type));
    result.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides,
                                                        static_cast<int64_t>(offset));
    const auto [bits, added] = bits_.try_emplace(tensor.metadata);
    if (added) {
      bits->second = {is_true(tensor.metadata, "conj"), is_true(tensor.metadata, "neg")};
    }
    if (bits->second.first && result.is_complex()) result._set_conj(true);
    if (bits->second.second) result._set_neg(true);
    return result;
  }

 private:
  template <typename Got>
  [[noreturn]] void fail(const std::string& name, const std::string& expected,
                         const Got& got) const {
    TORCH_CHECK(false, "load_checkpoint: ", file_->path(), ": tensor ", shown(name), ": expected ",
                expected, ", got ", got);
  }

  /// Throws for what later versions of torch may have.
  [[noreturn]] void refuse(const std::string& name, const char* expected,
                           const std::string& got) const {
    fail_to_load(Problem::kUnsupported, file_->path(), ": tensor ", shown(name), ": expected ",
                 expected, ", got ", got);
  }

  /// The tensor's dtype, or its storage's where the tensor names none; nothing for what is no
  /// dtype.
  std::optional<ScalarType> dtype_of_tensor(const PickleTensor& tensor) const {
    if (tensor.dtype == 0) {
      const PickleStorage& storage = pickle_.storages[pickle_[tensor.storage].index];
      return storage_type(pickle_.globals[pickle_[storage.type].index]);
    }
    if (!pickle_.is(tensor.dtype, PickleKind::kGlobal)) return std::nullopt;
    return scalar_type_of(pickle_.globals[pickle_[tensor.dtype].index]);
  }

  std::string global(Id id) const {
    if (!pickle_.is(id, PickleKind::kGlobal)) return "something else";
    const PickleGlobal& found = pickle_.globals[pickle_[id].index];
    return shown(std::string(found.module) + "." + std::string(found.name));
  }

  std::vector<int64_t> numbers(Id id, const std::string& name, const char* what) const {
    const bool list = pickle_.is(id, PickleKind::kList);
    if (!list || pickle_.list(id).size() > 64) {
      fail(name, c10::str("a tuple of at most 64 ", what), list ? "more" : "something else");
    }
    std::vector<int64_t> result;
    for (const Id item : pickle_.list(id)) {
      if (!pickle_.is(item, PickleKind::kInt) || pickle_[item].integer < 0) {
        fail(name, c10::str(what, " of whole numbers >= 0"), "something else");
      }
      result.push_back(pickle_[item].integer);
    }
    return result;
  }

  bool is_true(Id dict, std::string_view key) const {
    const Id value = pickle_.find(dict, key);
    return pickle_.is(value, PickleKind::kBool) && pickle_[value].integer != 0;
  }

  /// The storage's bytes, mapped, or copied where they do not begin at a multiple of the element
  /// size.
  torch::Tensor storage_of(const PickleStorage& storage, uint64_t size, ScalarType type,
                           const std::string& name) {
    const auto found = storages_.find(storage.key);
    if (found != storages_.end()) {
      const auto& [bytes, known] = found->second;
      TORCH_CHECK(static_cast<uint64_t>(bytes.numel()) == size && known == type,
                  "load_checkpoint: ", file_->path(),
                  ": expected one size and type of the storage ", shown(storage.key), ", got ",
                  bytes.numel(), " bytes of ", known, " and ", size, " of ", type);
      return bytes;
    }
    const std::string_view bytes = find_bytes_(storage.key, size);
    // The map is ours to write to.
    char* data = const_cast<char*>(bytes.data());  // NOLINT
    torch::Tensor result;
    if (reinterpret_cast<std::uintptr_t>(data) % alignments_.at(storage.key) == 0) {
      result = at::from_blob(
          data, {static_cast<int64_t>(size)}, [file = file_](void*) {},
          torch::TensorOptions(torch::kByte));
    } else {
      // Records may overlap, and only what is copied costs memory.
      copied_ += size;
      TORCH_CHECK(
          copied_ <= file_->size(), "load_checkpoint: ", file_->path(),
          ": expected storages that do not overlap, got more bytes in them than in the file");
      result = allocated(*file_, name, {static_cast<int64_t>(size)}, torch::kByte);
      if (size > 0) std::memcpy(result.data_ptr(), data, size);
    }
    storages_.emplace(storage.key, std::pair(result, type));
    return result;
  }

  const std::shared_ptr<const MappedFile> file_;
  const Pickle& pickle_;
  const FindBytes find_bytes_;
  std::map<std::string_view, std::size_t> alignments_;
  std::map<Id, std::pair<bool, bool>> bits_;  // conj and neg of a metadata dict
  uint64_t copied_ = 0;
  std::map<std::string_view, std::pair<torch::Tensor, ScalarType>> storages_;
};

uint64_t element_size(const Pickle& pickle, const PickleStorage& storage) {
  const auto type = storage_type(pickle.globals[pickle[storage.type].index]);
  return type ? c10::elementSize(*type) : 1;
}

/// The bytes of the storages of an old file, by their keys, whose list the `bytes` follow: each
/// storage's number of elements, then the elements themselves.
std::map<std::string_view, std::string_view> legacy_storages(const std::string& path,
                                                             const Pickle& pickle,
                                                             const Pickle& keys,
                                                             std::string_view bytes) {
  std::map<std::string_view, uint64_t> elements;
  for (const PickleStorage& storage : pickle.storages) {
    elements.emplace(storage.key, element_size(pickle, storage));
  }
  std::map<std::string_view, std::string_view> found;
  for (const Id key : keys.list(keys.root)) {
    const bool known = keys.is(key, PickleKind::kText) && elements.contains(keys.text(key));
    TORCH_CHECK(known, "load_checkpoint: ", path, ": expected the key of a storage, got ",
                keys.is(key, PickleKind::kText) ? shown(keys.text(key)) : "something else");
    const uint64_t element = elements.at(keys.text(key));
    int64_t count = -1;
    if (bytes.size() >= sizeof(count)) std::memcpy(&count, bytes.data(), sizeof(count));
    bytes.remove_prefix(std::min(bytes.size(), sizeof(count)));
    TORCH_CHECK(count >= 0 && static_cast<uint64_t>(count) <= bytes.size() / element,
                "load_checkpoint: ", path, ": expected all of the storage ", shown(keys.text(key)),
                ", got a file that ends before");
    found[keys.text(key)] = bytes.substr(0, static_cast<uint64_t>(count) * element);
    bytes.remove_prefix(static_cast<uint64_t>(count) * element);
  }
  return found;
}

}  // namespace

void read_torch_zip(const std::shared_ptr<const MappedFile>& file, const TakePickle& take) {
  const std::string& path = file->path();
  const auto records = read_zip(*file);
  // Everything lies in one folder, named after the file: "archive/data.pkl".
  std::string folder;
  for (const auto& [name, record] : records) {
    const std::size_t slash = name.find('/');
    const bool pickle = slash != std::string::npos && name.substr(slash) == "/data.pkl";
    TORCH_CHECK(!pickle || folder.empty(), "load_checkpoint: ", path,
                ": expected one record \"data.pkl\", got those in ", shown(folder), " and ",
                shown(name));
    if (pickle) folder = name.substr(0, slash + 1);
  }
  if (folder.empty()) fail_to_load(Problem::kNotACheckpoint, path, " is ", foreign_zip(records));
  const auto bytes_of = [&](const std::string& name) -> std::optional<std::string_view> {
    const auto found = records.find(folder + name);
    if (found == records.end()) return std::nullopt;
    if (found->second.encrypted) {
      fail_to_load(Problem::kUnsupported, path, ": the record ", shown(found->first),
                   " is encrypted, which torch.save never does: decrypt the file first");
    }
    if (!found->second.stored) {
      fail_to_load(Problem::kUnsupported, path, ": the record ", shown(found->first),
                   " is compressed, which torch.save never does: unpack the file and pack it again "
                   "without compression, or save it again by torch.save");
    }
    return found->second.bytes;
  };
  const std::string_view data = *bytes_of("data.pkl");
  const std::string_view order = bytes_of("byteorder").value_or("little");
  if (order != "little") {
    fail_to_load(Problem::kUnsupported, path, ": expected the byte order \"little\", got ",
                 shown(order), kSaveLittle);
  }

  const Pickle pickle = read_pickle(path + ", data.pkl", data);
  TensorMaker make(file, pickle, [&](std::string_view key, uint64_t size) {
    const std::string name = "data/" + std::string(key);
    const auto record = bytes_of(name);
    TORCH_CHECK(record, "load_checkpoint: ", path, ": expected the record ", shown(folder + name),
                ", got none");
    TORCH_CHECK(record->size() == size, "load_checkpoint: ", path, ": expected ", size,
                " bytes in the record ", shown(folder + name), ", got ", record->size());
    return *record;
  });
  // Source is compressed to a fifth or so.
  ScriptClasses classes(records, folder, 64 * file->size() + (1 << 20));
  take(pickle, std::ref(make), &classes);
}

bool is_torch_legacy(std::string_view bytes) {
  return bytes.starts_with(kMagicOfProtocol1) ||
         (bytes.starts_with('\x80') && bytes.substr(0, 32).find(kMagic) != std::string_view::npos);
}

void read_torch_legacy(const std::shared_ptr<const MappedFile>& file, const TakePickle& take) {
  const std::string& path = file->path();
  std::string_view bytes = file->bytes();
  const auto next = [&] {
    Pickle pickle = read_pickle(path, bytes);
    bytes.remove_prefix(pickle.size);
    return pickle;
  };
  next();  // is_torch_legacy() has looked at it
  const Pickle protocol = next();
  if (!protocol.is(protocol.root, PickleKind::kInt) || protocol[protocol.root].integer != 1001) {
    fail_to_load(Problem::kUnsupported, path,
                 ": expected version 1001 of torch.save's old format, got another");
  }
  const Pickle system = next();
  const Id little = system.find(system.root, "little_endian");
  if (system.is(little, PickleKind::kBool) && system[little].integer == 0) {
    fail_to_load(Problem::kUnsupported, path, ": expected the byte order \"little\", got \"big\"",
                 kSaveLittle);
  }
  const Pickle pickle = next();
  const Pickle keys = next();
  TORCH_CHECK(keys.is(keys.root, PickleKind::kList), "load_checkpoint: ", path,
              ": expected a list of storages after the object, got something else");

  const auto found = legacy_storages(path, pickle, keys, bytes);
  TensorMaker make(file, pickle, [&](std::string_view key, uint64_t size) {
    const auto storage = found.find(key);
    TORCH_CHECK(storage != found.end(), "load_checkpoint: ", path, ": expected the storage ",
                shown(key), ", got none");
    TORCH_CHECK(storage->second.size() == size, "load_checkpoint: ", path, ": expected ", size,
                " bytes in the storage ", shown(key), ", got ", storage->second.size());
    return storage->second;
  });
  take(pickle, std::ref(make), nullptr);
}

}  // namespace convkit::detail

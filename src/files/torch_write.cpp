// Writes what torch.load reads: a zip file of a pickle and a record for each storage.
#include "files/torch_write.h"

#include "files/raw.h"
#include "files/zip_write.h"

#include <ATen/ops/empty.h>

#include <unordered_map>
#include <utility>
#include <vector>

namespace convkit::detail {
namespace {

using c10::ScalarType;

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

/// The name of torch.FloatStorage or its kin; empty for the types that came after them.
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
class WrittenStorages {
 public:
  struct Written {
    torch::Tensor owner;  // any tensor that has the storage
    ScalarType type;
    bool typed;  // whether a storage class of its own says the type, one for all its tensors
  };

  explicit WrittenStorages(const StateDict& state) {
    for (const auto& item : state) {
      const torch::Tensor& tensor = item.value();
      const ScalarType type = tensor.scalar_type();
      const auto [found, added] = numbers_.emplace(key(tensor), all.size());
      if (added) {
        const bool whole = tensor.storage().nbytes() % tensor.element_size() == 0;
        all.push_back({tensor, type, whole && !storage_name(type).empty()});
      } else if (all[found->second].type != type) {
        all[found->second].typed = false;
      }
    }
  }

  std::size_t number(const torch::Tensor& tensor) const { return numbers_.at(key(tensor)); }

  std::vector<Written> all;

 private:
  static const void* key(const torch::Tensor& tensor) {
    return tensor.storage().unsafeGetStorageImpl();
  }
  std::unordered_map<const void*, std::size_t> numbers_;
};

std::string pickled(const torch::Tensor& tensor, const WrittenStorages& storages) {
  const std::size_t number = storages.number(tensor);
  const bool typed = storages.all[number].typed;
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

std::string pickled(const StateDict& state, const WrittenStorages& storages) {
  std::string text = "\x80\x02" + empty_ordered_dict() + "(";
  for (const auto& entry : state) {
    text += pickled_text(entry.key()) + pickled(entry.value(), storages);
  }
  return text + "u.";
}

}  // namespace

void write_torch_zip(const TakeBytes& take, const StateDict& state) {
  const WrittenStorages storages(state);
  ZipWriter zip(take);
  zip.add("archive/data.pkl", pickled(state, storages));
  zip.add("archive/byteorder", "little");
  for (std::size_t i = 0; i < storages.all.size(); ++i) {
    // cpu() copies a storage that is on another device.
    const torch::Storage& storage = storages.all[i].owner.storage();
    const auto size = static_cast<int64_t>(storage.nbytes());
    const torch::Tensor bytes =
        at::empty({0}, torch::TensorOptions(torch::kByte).device(storage.device()))
            .set_(storage, 0, {size}, {1})
            .cpu();
    zip.add("archive/data/" + std::to_string(i),
            {static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::size_t>(size)});
  }
  zip.add("archive/version", "3\n");
  zip.finish();
}

}  // namespace convkit::detail

// Writes what torch.load reads: a zip file of a pickle and a record for each storage.
#include "files/torch_write.h"

#include "files/raw.h"
#include "files/zip_write.h"

#include <ATen/ops/empty.h>

#include <bit>
#include <functional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace convkit::detail {
namespace {

using c10::ScalarType;

/// The opcodes of protocol 2 that such values take.
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

/// The storages of tensors in the order of their first ones, each once.
class WrittenStorages {
 public:
  struct Written {
    torch::Tensor owner;  // any tensor that has the storage
    ScalarType type;
    bool typed;  // whether a storage class of its own says the type, one for all its tensors
  };

  void add(const torch::Tensor& tensor) {
    const ScalarType type = tensor.scalar_type();
    const auto [found, added] = numbers_.emplace(key(tensor), all.size());
    if (added) {
      const bool whole = tensor.storage().nbytes() % tensor.element_size() == 0;
      all.push_back({tensor, type, whole && !storage_name(type).empty()});
    } else if (all[found->second].type != type) {
      all[found->second].typed = false;
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

std::string pickled_real(double value) {  // which a pickle has from its highest byte to its lowest
  const std::string bytes = raw(std::bit_cast<uint64_t>(value));
  return "G" + std::string(bytes.rbegin(), bytes.rend());
}

/// Calls `visit` for every tensor of a tree, in order. save_tree() has looked at its depth.
void for_tensors(const Tree& tree, const std::function<void(const torch::Tensor&)>& visit) {
  if (tree.kind() == Tree::Kind::kTensor) visit(tree.tensor());
  if (tree.kind() == Tree::Kind::kList) {
    for (const Tree& item : tree.items()) for_tensors(item, visit);
  }
  if (tree.kind() == Tree::Kind::kDict) {
    for (const Tree::Entry& entry : tree.entries()) for_tensors(entry.value, visit);
  }
}

std::string pickled(const Tree& tree, const WrittenStorages& storages) {
  switch (tree.kind()) {
    case Tree::Kind::kNone:
      return "N";
    case Tree::Kind::kBool:
      return pickled_bool(tree.boolean());
    case Tree::Kind::kInt:
      return pickled_number(tree.integer());
    case Tree::Kind::kFloat:
      return pickled_real(tree.number());
    case Tree::Kind::kText:
      return pickled_text(tree.text());
    case Tree::Kind::kTensor:
      return pickled(tree.tensor(), storages);
    case Tree::Kind::kList: {
      const bool tuple = tree.python() == Tree::Python::kTuple;
      std::string text = tuple ? "(" : "](";
      for (const Tree& item : tree.items()) text += pickled(item, storages);
      return text + (tuple ? "t" : "e");
    }
    case Tree::Kind::kDict:
      break;
  }
  const bool counter = tree.python() == Tree::Python::kCounter;
  std::string text = counter ? pickled_global("collections", "Counter") + "}(" : "}(";
  if (tree.python() == Tree::Python::kOrderedDict) text = empty_ordered_dict() + "(";
  for (const Tree::Entry& entry : tree.entries()) {
    const auto* number = std::get_if<int64_t>(&entry.key);
    text += number != nullptr ? pickled_number(*number)
                              : pickled_text(std::get<std::string>(entry.key));
    text += pickled(entry.value, storages);
  }
  return text + (counter ? "u\x85R" : "u");
}

/// Writes the zip file of a pickle and its storages.
void write_zip(const TakeBytes& take, const std::string& pickle, const WrittenStorages& storages) {
  ZipWriter zip(take);
  zip.add("archive/data.pkl", pickle);
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

}  // namespace

void write_torch_zip(const TakeBytes& take, const StateDict& state) {
  WrittenStorages storages;
  for (const auto& entry : state) storages.add(entry.value());
  write_zip(take, pickled(state, storages), storages);
}

void write_torch_zip(const TakeBytes& take, const Tree& tree) {
  WrittenStorages storages;
  for_tensors(tree, [&](const torch::Tensor& tensor) { storages.add(tensor); });
  write_zip(take, "\x80\x02" + pickled(tree, storages) + ".", storages);
}

}  // namespace convkit::detail

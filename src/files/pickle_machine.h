#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Reads what a pickle of protocol 1 to 5 would build, without building it: no class of the file is
/// looked up, and nothing in it is run. Values are numbers into tables, so that cycles and depth do
/// no harm.
namespace convkit::detail {

using Id = uint32_t;

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kBigInt,  // more than 64 bits; its bytes, or digits, in `texts`
  kFloat,
  kText,
  kBytes,
  kList,    // a list, tuple or set
  kDict,    // a dict or OrderedDict
  kGlobal,  // the name of a class or function
  kObject,  // a call of a global, which is noted and not made
  kStorage,
  kTensor,
  kRefused,  // a kind of tensor that is none of ours
};

struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  uint32_t index = 0;  // into the table of its kind
  union {
    int64_t integer = 0;
    double real;
  };
};

struct PickleGlobal {
  std::string_view module;
  std::string_view name;
};

struct PickleObject {
  Id callable;
  Id arguments;
  Id state;  // 0 (None) where there is none
  Id items;  // a dict or list, of a class that is derived from them; 0 where there is none
};

/// ('storage', type, key, location, numel): where a tensor's numbers are.
struct PickleStorage {
  Id type;  // a global: torch.FloatStorage
  std::string_view key;
  int64_t size;    // in elements of the type; in bytes for UntypedStorage
  int64_t offset;  // of a view, in elements; only files from before torch 0.4 have any
  int64_t view_size;
};

struct PickleTensor {
  Id storage;
  Id offset;
  Id sizes;
  Id strides;
  Id dtype;     // a global (torch.uint16), or 0 where the storage's type says it
  Id metadata;  // a dict like {"conj": True}, or 0
};

struct Pickle {
  std::vector<PickleValue> values;
  std::vector<std::string_view> texts;
  std::vector<std::vector<Id>> lists;
  std::vector<std::vector<std::pair<Id, Id>>> dicts;
  std::vector<PickleGlobal> globals;
  std::vector<PickleObject> objects;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  std::vector<const char*> refused;  // "sparse"
  Id root = 0;
  std::size_t size = 0;  // bytes of the pickle itself

  const PickleValue& operator[](Id id) const { return values[id]; }
  bool is(Id id, PickleKind kind) const { return values[id].kind == kind; }
  bool is_text(Id id, std::string_view text) const {
    return is(id, PickleKind::kText) && texts[values[id].index] == text;
  }
  bool is_global(Id id, std::string_view module, std::string_view name) const;
  std::string_view text(Id id) const { return texts[values[id].index]; }
  const std::vector<Id>& list(Id id) const { return lists[values[id].index]; }
  const std::vector<std::pair<Id, Id>>& dict(Id id) const { return dicts[values[id].index]; }
  const PickleObject& object(Id id) const { return objects[values[id].index]; }
  /// The value under a text key of a dict, the last as in Python; 0 (None) where there is none.
  Id find(Id dict, std::string_view key) const;
};

/// Reads the pickle at the beginning of `bytes`; `where` names it in errors. Throws c10::Error for
/// what is no pickle of these protocols.
Pickle read_pickle(const std::string& where, std::string_view bytes);

}  // namespace convkit::detail

#pragma once

#include "compile/tape/tape.h"

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace convkit::detail {

/// Knows which value each tensor of a forward is, and what its memory holds, while it is recorded.
///
/// It holds tensors weakly, or every activation would live until the end; their addresses stay taken.
class TensorRegistry {
 public:
  /// Memory of one or several tensors.
  struct TrackedStorage {
    explicit TrackedStorage(c10::weak_intrusive_ptr<c10::StorageImpl> tracked)
        : memory(std::move(tracked)) {}

    c10::weak_intrusive_ptr<c10::StorageImpl> memory;
    std::vector<c10::TensorImpl*> tensors;
    int64_t fixed = -1;      ///< its value that the forward did not make: an input, a constant
    bool tainted = false;    ///< it holds what depends on the inputs
    bool unwritten = false;  ///< empty() made it, and no operator has written to it
    bool read = false;       ///< an operator that depends on the inputs has read it
    bool varies = false;     ///< it was written after that
  };

  /// Values and storages are added to `tape`.
  explicit TensorRegistry(Tape& tape) : tape_(tape) {}

  [[nodiscard]] Value& value(int64_t id) { return tape_.values.at(static_cast<std::size_t>(id)); }
  [[nodiscard]] const Value& value(int64_t id) const {
    return tape_.values.at(static_cast<std::size_t>(id));
  }
  [[nodiscard]] TrackedStorage& storage_of(int64_t id) { return storages_.at(storage_index(id)); }
  [[nodiscard]] const TrackedStorage& storage_of(int64_t id) const {
    return storages_.at(storage_index(id));
  }
  [[nodiscard]] bool is_tainted(int64_t id) const;

  /// The tensor's value, -1 for an unknown one. LibTorch wraps the memory of a fresh tensor anew, as
  /// `data()` does with any: a tensor of the same place, sizes and type is the same value.
  int64_t find(const torch::Tensor& tensor);

  /// Whether the tensor's memory is that of a known value.
  [[nodiscard]] bool knows_memory_of(const torch::Tensor& tensor) const;

  /// Whether that memory depends on the inputs; it is known.
  [[nodiscard]] bool is_memory_tainted(const torch::Tensor& tensor) const {
    return storages_.at(storage_ids_.at(tensor.storage().unsafeGetStorageImpl())).tainted;
  }

  /// New values: a result, an input, a constant (or the value that it is already). Throw c10::Error
  /// for a tensor that is not strided, and for one whose memory overlaps what depends on the inputs.
  int64_t add(const torch::Tensor& tensor);
  void add_input(const torch::Tensor& tensor);
  int64_t add_constant(const torch::Tensor& tensor, const std::string& name);

  /// Makes a value a constant: a copy of what it holds now.
  void make_constant(int64_t id, torch::Tensor tensor);

  /// Notes that an operator wrote to a value.
  void note_write(int64_t id, bool tainted);

  /// Throws c10::Error where a tensor was written since the last operator that had it.
  void check_version(const torch::Tensor& tensor, const std::string& where) const;

  /// To be called after an operator, for each tensor that it was given.
  void see_version(const torch::Tensor& tensor);

 private:
  struct Known {
    c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> impl;
    int64_t id = -1;
    int64_t offset = 0;
    uint32_t version = 0;
  };
  struct Range {
    const char* end;
    std::size_t storage;
  };

  [[nodiscard]] std::size_t storage_index(int64_t id) const {
    return static_cast<std::size_t>(value(id).storage);
  }
  void remember(const torch::Tensor& tensor, int64_t id);
  void fix(int64_t id, Value::Kind kind);
  void taint(std::size_t storage);
  void refuse_overlap(const c10::StorageImpl& memory);

  Tape& tape_;
  std::vector<TrackedStorage> storages_;
  std::unordered_map<const c10::TensorImpl*, Known> known_;
  std::unordered_map<const c10::StorageImpl*, std::size_t> storage_ids_;
  std::map<const char*, Range> tainted_memory_;  ///< by its begin; no two of them overlap
};

}  // namespace convkit::detail

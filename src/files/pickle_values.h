#pragma once

#include "files/pickle_machine.h"

#include <c10/util/Exception.h>

namespace convkit::detail {

/// Makes the values of a pickle, and knows what calling torch's own functions gives.
class PickleBuilder {
 protected:
  // Every pickle has these values many times.
  static constexpr Id kNothing = 0;
  static constexpr Id kFalse = 1;
  static constexpr Id kTrue = 2;

  // A value costs 16 bytes and more, and an opcode of one byte makes one.
  static constexpr std::size_t kMostValues = std::size_t{1} << 26;

  PickleBuilder(const std::string& where, std::string_view bytes) : where_(where), bytes_(bytes) {
    for (const PickleKind kind : {PickleKind::kNone, PickleKind::kBool, PickleKind::kBool})
      make(kind);
    pickle_.values[kTrue].integer = 1;
  }

  template <typename... Got>
  [[noreturn]] void fail(const Got&... got) const {
    TORCH_CHECK(false, "load_checkpoint: ", where_, ": expected a pickle of protocol 1 to 5, got ",
                got..., " at byte ", at_);
  }

  Id make(PickleKind kind, uint32_t index = 0) {
    if (pickle_.values.size() >= kMostValues) fail("more than ", kMostValues, " values");
    PickleValue value;
    value.kind = kind;
    value.index = index;
    pickle_.values.push_back(value);
    return static_cast<Id>(pickle_.values.size() - 1);
  }
  template <typename T>
  Id make(PickleKind kind, std::vector<T>& table, T entry) {
    table.push_back(std::move(entry));
    return make(kind, static_cast<uint32_t>(table.size() - 1));
  }
  Id text(std::string_view value, PickleKind kind = PickleKind::kText) {
    return make(kind, pickle_.texts, value);
  }
  Id integer(int64_t value) {
    const Id id = make(PickleKind::kInt);
    pickle_.values[id].integer = value;
    return id;
  }
  Id list(std::vector<Id> items) {
    return make(PickleKind::kList, pickle_.lists, std::move(items));
  }
  Id dict() { return make(PickleKind::kDict, pickle_.dicts, {}); }
  Id object(Id callable, Id arguments) {
    return make(PickleKind::kObject, pickle_.objects, {callable, arguments, kNothing, kNothing});
  }
  Id global(std::string_view module, std::string_view name) {
    return make(PickleKind::kGlobal, pickle_.globals, {module, name});
  }

  void append(Id target, const std::vector<Id>& items);
  void set(Id target, const std::vector<Id>& items);

  /// Gives what a call of `callable` would: a tensor, a container, or an object that does nothing.
  Id call(Id callable, Id arguments_id);

  /// Gives what a persistent id stands for. ('storage', type, key, location, size) is a storage,
  /// and in files from before torch 1.6 may have a sixth member, a view: (key, offset, size).
  /// ('module', class, ...) is the class.
  Id persistent(Id id);

  const std::string& where_;
  const std::string_view bytes_;
  std::size_t at_ = 0;
  Pickle pickle_;

 private:
  /// Bounds the slots of all containers: each takes a byte of the pickle, and those of an
  /// OrderedDict's pairs count twice.
  void count_slots(std::size_t count);
  /// Gives the container itself, or that of an object of a derived class, which its first item
  /// makes.
  Id container(Id target, PickleKind kind);
  Id refuse(const char* kind) { return make(PickleKind::kRefused, pickle_.refused, kind); }
  Id ordered_dict(const std::vector<Id>& arguments);
  /// Gives the tensor that one of torch._utils' functions would make; None for other functions.
  Id rebuilt(std::string_view name, const std::vector<Id>& arguments);

  std::size_t slots_ = 0;
};

}  // namespace convkit::detail

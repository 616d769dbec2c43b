#pragma once

#include "files/pickle_machine.h"
#include "files/script_classes.h"

#include <functional>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace convkit::detail {

/// A member of a container of a pickle.
struct PickleMember {
  static constexpr Id kNoKey = std::numeric_limits<Id>::max();

  Id key;  // kNoKey where it is numbered
  std::size_t position;
  Id value;
  bool is_attribute;  // of an object, not an item of a dict or list
};

/// The values of a pickle as a tree of members, as Python would show it. All walks together have a
/// budget.
class PickleTree {
 public:
  /// `classes` are those of a TorchScript archive; null where there are none.
  PickleTree(const std::string& path, const Pickle& pickle, ScriptClasses* classes);

  const Pickle& pickle() const { return pickle_; }
  Id root() const { return plain(pickle_.root); }
  bool is_tensor(Id id) const {
    return pickle_.is(id, PickleKind::kTensor) || pickle_.is(id, PickleKind::kRefused);
  }
  bool is_container(Id id) const;
  /// Whether it is an object of TorchScript, whose classes are in __torch__.
  bool is_script_object(Id id) const;

  /// The members of a container. A pickled torch.nn.Module has those of a state_dict: its
  /// parameters, its persistent buffers, then its children. An object has those of its state and,
  /// where its class is derived from dict or list, its items; else the tensors among its arguments.
  /// What OmegaConf wraps around values is left out.
  std::vector<PickleMember> children(Id id);
  /// Whether an object is a torch.nn.Module, or TorchScript's.
  bool is_module(Id id);

  /// Calls `leaf(name, value)` for everything below `root` that has no children itself, under its
  /// path, until it returns false. A value may be reached by several paths; it is never a child of
  /// itself. Members that are not wanted are left out.
  void walk(
      Id root, const std::function<bool(const std::string&, Id)>& leaf,
      const std::function<bool(const PickleMember&)>& wanted = [](const PickleMember&) {
        return true;
      });

  std::string key_text(const PickleMember& child) const;
  /// The member of a path such as "ema.model.0", whose keys may have dots themselves. Throws
  /// c10::ValueError where there is none.
  Id member(Id root, std::string_view path);
  /// Describes what is none of the values that were looked for.
  std::string description(Id id);

  /// Throws where all walks together look at too much: objects that are members of many others make
  /// a small file a large tree.
  void work(std::size_t amount);
  [[noreturn]] void fail_many() const;
  [[noreturn]] void fail_deep() const;

 private:
  Id plain(Id id) const;
  void add_items(Id id, bool are_attributes, const std::function<bool(Id key)>& wanted,
                 std::vector<PickleMember>& result);
  void add_items(Id id, bool are_attributes, std::vector<PickleMember>& result);
  void add_module(const PickleObject& object, std::vector<PickleMember>& result);
  void add_script_module(Id id, std::vector<PickleMember>& result);
  Id part(const PickleObject& object, std::string_view name);
  std::string global_name(Id id) const;
  std::string keys(Id id);

  const std::string& path_;
  const Pickle& pickle_;
  ScriptClasses* const classes_;
  std::size_t work_left_ = 10'000;
};

}  // namespace convkit::detail

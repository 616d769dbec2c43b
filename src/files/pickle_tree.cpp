#include "files/pickle_tree.h"

#include "files/named_tensors.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace convkit::detail {
namespace {

constexpr Id kNoKey = std::numeric_limits<Id>::max();

/// A member of a container of a pickle.
struct Member {
  Id key;  // kNoKey where it is numbered
  std::size_t position;
  Id value;
};

/// The names under which training scripts keep the weights of a model.
constexpr std::string_view kUsualNames[] = {"state_dict", "model", "model_state_dict", "params",
                                            "params_ema", "net",   "weights"};

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return nlohmann::json(value).dump();  // as many digits as it takes
}

/// The values of a pickle as a tree of members, as Python would show it.
class PickleTree {
 public:
  PickleTree(const std::string& path, const Pickle& pickle) : path_(path), pickle_(pickle) {
    for (const auto& list : pickle.lists) work_left_ += 16 * list.size();
    for (const auto& dict : pickle.dicts) work_left_ += 16 * dict.size();
    work_left_ += 16 * pickle.values.size() + pickle.size;
  }

  StateDict collect(Id root, const MakeTensor& make_tensor) {
    NamedTensors tensors;
    std::size_t name_bytes = 0;
    walk(root, [&](const std::string& name, Id id) {
      TORCH_CHECK(!pickle_.is(id, PickleKind::kRefused), "load_checkpoint: ", path_, ": tensor ",
                  shown(name), ": expected a dense one, got a ", refused_kind(id), " one");
      if (!pickle_.is(id, PickleKind::kTensor)) return true;
      name_bytes += name.size();
      if (name_bytes > 16 * pickle_.size + (1 << 20)) fail_many();
      tensors.emplace_back(id == root ? "0" : name, make_tensor(id, name));
      return true;
    });
    return state_dict_of(path_, std::move(tensors));
  }

  /// The numbers and texts of the whole file, but for the settings of a module's layers.
  std::map<std::string, std::string> texts() {
    constexpr std::size_t kMost = 100'000;
    std::map<std::string, std::string> result;
    std::size_t bytes = 0;
    walk(
        pickle_.root,
        [&](const std::string& name, Id id) {
          const PickleValue& value = pickle_[id];
          std::string text;
          if (value.kind == PickleKind::kText) {
            text = pickle_.text(id);
          } else if (value.kind == PickleKind::kInt) {
            text = std::to_string(value.integer);
          } else if (value.kind == PickleKind::kFloat) {
            text = number_text(value.real);
          } else if (value.kind == PickleKind::kBool) {
            text = value.integer != 0 ? "True" : "False";
          } else {
            return true;
          }
          bytes += name.size() + text.size();
          result[name] = std::move(text);
          return result.size() < kMost && bytes < 16 * pickle_.size + (1 << 24);
        },
        [&](Id id) { return !is_script_module(id); });
    return result;
  }

  Id choose(const LoadCheckpointOptions& options) {
    const Id root = pickle_.root;
    if (!options.at.empty()) return member(root, options.at);
    if (options.everything || !pickle_.is(root, PickleKind::kDict)) return root;
    std::vector<Member> usual;
    std::vector<Member> others;
    bool own_tensor = false;
    for (const Member& child : children(root)) {
      own_tensor |= pickle_.is(child.value, PickleKind::kTensor);
      if (pickle_.is(child.value, PickleKind::kTensor) || !has_tensor(child.value)) continue;
      const bool known = std::find(std::begin(kUsualNames), std::end(kUsualNames),
                                   key_text(child)) != std::end(kUsualNames);
      (known ? usual : others).push_back(child);
    }
    if (usual.size() == 1) return usual[0].value;
    if (usual.empty() && (others.empty() || own_tensor)) return root;
    const std::vector<Member>& candidates = usual.empty() ? others : usual;
    std::string names;
    for (const Member& child : candidates) {
      names += (names.empty() ? "" : ", ") + shown(key_text(child));
      if (names.size() > 500) {
        names += ", ...";
        break;
      }
    }
    TORCH_CHECK(false, "load_checkpoint: ", path_,
                ": expected a state_dict, or one member under a usual name such as \"state_dict\", "
                "got ",
                names, ": choose by {.at = ", shown(key_text(candidates[0])), "}");
  }

  /// Describes what a file without tensors holds.
  std::string description(Id id) {
    switch (pickle_[id].kind) {
      case PickleKind::kNone:
        return "None";
      case PickleKind::kBool:
        return "a bool";
      case PickleKind::kInt:
      case PickleKind::kBigInt:
        return "an int";
      case PickleKind::kFloat:
        return "a float";
      case PickleKind::kText:
        return "a text";
      case PickleKind::kBytes:
        return "bytes";
      case PickleKind::kGlobal:
        return "the name " + global_name(id);
      case PickleKind::kObject:
        return "an object of " + global_name(pickle_.object(id).callable);
      case PickleKind::kList:
        return c10::str("a list of ", pickle_.list(id).size(), " items");
      case PickleKind::kDict:
        return "a dict of " + keys(id);
      case PickleKind::kStorage:
        return "a storage without a tensor";
      case PickleKind::kTensor:
        return "a tensor";
      case PickleKind::kRefused:
        return "a tensor";
    }
    return "";
  }

 private:
  const char* refused_kind(Id id) const {
    return pickle_.is(id, PickleKind::kRefused) ? pickle_.refused[pickle_[id].index] : "";
  }

  /// TorchScript's classes are in __torch__.
  bool is_script_module(Id id) const {
    if (!pickle_.is(id, PickleKind::kObject)) return false;
    const Id callable = pickle_.object(id).callable;
    return pickle_.is(callable, PickleKind::kGlobal) &&
           pickle_.globals[pickle_[callable].index].module.starts_with("__torch__");
  }

  [[noreturn]] void fail_many() const {
    TORCH_CHECK(false, "load_checkpoint: ", path_,
                ": expected a tree of about as many members as the file has objects, got one in "
                "which the same objects are members many times");
  }

  /// All walks together may look at so much: objects that are members of many others make a small
  /// file a large tree.
  void work(std::size_t amount) {
    if (amount > work_left_) fail_many();
    work_left_ -= amount;
  }

  /// Calls `leaf(name, value)` for everything below `root` that has no children itself, under its
  /// path, until it returns false. A value may be reached by several paths; it is never a child of
  /// itself. What is not wanted is left out.
  void walk(
      Id root, const std::function<bool(const std::string&, Id)>& leaf,
      const std::function<bool(Id)>& wanted = [](Id) { return true; }) {
    struct OpenContainer {
      Id container;
      std::vector<Member> children;
      std::size_t next;
      std::size_t name_size;  // of the container's own name
    };
    std::vector<OpenContainer> open_containers;
    std::set<Id> open;
    std::string name;
    bool go_on = true;
    const auto enter = [&](Id id) {
      if (!wanted(id)) return;
      if (!is_container(id)) {
        go_on = leaf(name, id);
      } else if (open.insert(id).second) {
        open_containers.push_back({id, children(id), 0, name.size()});
      }
    };
    enter(root);
    while (go_on && !open_containers.empty()) {
      OpenContainer& innermost = open_containers.back();
      name.resize(innermost.name_size);
      if (innermost.next == innermost.children.size()) {
        open.erase(innermost.container);
        open_containers.pop_back();
        continue;
      }
      const Member child = innermost.children[innermost.next++];
      const std::string key = key_text(child);
      if (open_containers.size() > 1) name += '.';
      name += key;
      work(1 + key.size() / 16);
      if (name.size() > 65536) fail_many();
      enter(child.value);
    }
  }

  bool is_container(Id id) const {
    if (pickle_.is(id, PickleKind::kList) || pickle_.is(id, PickleKind::kDict)) return true;
    if (!pickle_.is(id, PickleKind::kObject)) return false;
    const PickleObject& object = pickle_.object(id);
    return object.items != 0 || pickle_.is(object.state, PickleKind::kDict) ||
           pickle_.is(object.arguments, PickleKind::kList);
  }

  /// The members of a container. A pickled torch.nn.Module has those of a state_dict: its
  /// parameters, its persistent buffers, then its children. An object has those of its state and,
  /// where its class is derived from dict or list, its items; else the tensors among its arguments.
  std::vector<Member> children(Id id) {
    std::vector<Member> result;
    if (!pickle_.is(id, PickleKind::kObject)) {
      add_items(id, {}, result);
      return result;
    }
    const PickleObject& object = pickle_.object(id);
    const auto part = [&](std::string_view name) {
      work(pickle_.is(object.state, PickleKind::kDict) ? pickle_.dict(object.state).size() : 1);
      return pickle_.find(object.state, name);
    };
    if (part("_parameters") != 0) {
      std::set<std::string_view> left_out;
      const Id not_persistent = part("_non_persistent_buffers_set");
      if (pickle_.is(not_persistent, PickleKind::kList)) {
        work(pickle_.list(not_persistent).size());
        for (const Id name : pickle_.list(not_persistent)) {
          if (pickle_.is(name, PickleKind::kText)) left_out.insert(pickle_.text(name));
        }
      }
      add_items(part("_parameters"), {}, result);
      add_items(part("_buffers"), left_out, result);
      add_items(part("_modules"), {}, result);
      return result;
    }
    add_items(object.state, {}, result);
    add_items(object.items, {}, result);
    if (result.empty() && pickle_.is(object.arguments, PickleKind::kList)) {
      std::vector<Member> arguments;
      add_items(object.arguments, {}, arguments);
      for (const Member& argument : arguments) {
        if (pickle_.is(argument.value, PickleKind::kTensor)) result.push_back(argument);
      }
    }
    return result;
  }

  /// The items of a list or dict. A dict's key that is neither text nor whole number counts as its
  /// position; of two equal keys the last value stands.
  void add_items(Id id, const std::set<std::string_view>& left_out, std::vector<Member>& result) {
    std::size_t position = 0;
    if (pickle_.is(id, PickleKind::kList)) {
      work(pickle_.list(id).size());
      for (const Id value : pickle_.list(id)) result.push_back({kNoKey, position++, value});
    }
    if (!pickle_.is(id, PickleKind::kDict)) return;
    work(pickle_.dict(id).size());
    std::map<std::pair<PickleKind, std::string>, std::size_t> places;
    for (const auto& [key, value] : pickle_.dict(id)) {
      const PickleKind kind = pickle_[key].kind;
      const bool named = kind == PickleKind::kText || kind == PickleKind::kInt;
      const Member child{named ? key : kNoKey, position++, value};
      if (kind == PickleKind::kText && left_out.contains(pickle_.text(key))) continue;
      if (named) {
        const std::string name = key_text(child);
        work(name.size() / 16);
        const auto [place, added] = places.emplace(std::pair(kind, name), result.size());
        if (!added) {
          result[place->second].value = value;
          continue;
        }
      }
      result.push_back(child);
    }
  }

  std::string key_text(const Member& child) const {
    if (child.key == kNoKey) return std::to_string(child.position);
    return pickle_.is(child.key, PickleKind::kText) ? std::string(pickle_.text(child.key))
                                                    : std::to_string(pickle_[child.key].integer);
  }

  bool has_tensor(Id id) {
    const auto [known, added] = has_tensor_.try_emplace(id, false);
    if (added) {
      bool found = false;
      walk(id, [&](const std::string&, Id leaf) {
        found = pickle_.is(leaf, PickleKind::kTensor);
        return !found;
      });
      has_tensor_[id] = found;
    }
    return has_tensor_[id];
  }

  /// The member of a path such as "ema.model.0", whose keys may have dots themselves.
  Id member(Id root, std::string_view path) {
    Id id = root;
    std::string_view rest = path;
    while (!rest.empty()) {
      std::size_t longest = 0;
      Id next = 0;
      for (const Member& child : is_container(id) ? children(id) : std::vector<Member>()) {
        const std::string key = key_text(child);
        const bool fits = rest == key || (rest.starts_with(key) && rest[key.size()] == '.');
        if (!fits || key.size() < longest) continue;
        longest = key.size();
        next = child.value;
      }
      TORCH_CHECK_VALUE(next != 0, "load_checkpoint: ", path_,
                        ": expected .at to be a member, got ", shown(path), "; ",
                        id == root ? "the file is " : "before that is ", description(id));
      id = next;
      rest.remove_prefix(std::min(rest.size(), longest + 1));
    }
    return id;
  }

  std::string global_name(Id id) const {
    if (!pickle_.is(id, PickleKind::kGlobal)) return "an unknown class";
    const PickleGlobal& global = pickle_.globals[pickle_[id].index];
    return shown(std::string(global.module) + "." + std::string(global.name));
  }

  std::string keys(Id id) {
    std::string names;
    for (const Member& child : children(id)) {
      if (names.size() > 300) return names + ", ...";
      names += (names.empty() ? "" : ", ") + shown(key_text(child));
    }
    return names.empty() ? "no keys" : names;
  }

  const std::string& path_;
  const Pickle& pickle_;
  std::size_t work_left_ = 10'000;
  std::map<Id, bool> has_tensor_;
};

}  // namespace

Checkpoint checkpoint_of(const std::string& path, const Pickle& pickle,
                         const LoadCheckpointOptions& options, const MakeTensor& make_tensor) {
  PickleTree tree(path, pickle);
  const Id chosen = tree.choose(options);
  Checkpoint checkpoint;
  checkpoint.state = tree.collect(chosen, make_tensor);
  const bool empty_state_dict = pickle.is(chosen, PickleKind::kDict) && pickle.dict(chosen).empty();
  TORCH_CHECK(!checkpoint.state.is_empty() || empty_state_dict, "load_checkpoint: ", path,
              ": expected tensors, got ", tree.description(chosen));
  checkpoint.metadata = tree.texts();
  return checkpoint;
}

}  // namespace convkit::detail

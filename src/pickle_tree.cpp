#include "pickle_tree.h"

#include "formats.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace convkit::detail {
namespace {

constexpr Id kNoKey = std::numeric_limits<Id>::max();

struct Child {
  Id key;  // kNoKey in a list, whose children are numbered
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

class PickleTree {
 public:
  PickleTree(const std::string& path, const Pickle& pickle) : path_(path), pickle_(pickle) {}

  /// Calls `leaf(name, value)` for everything below `root` that has no children itself, under its
  /// path. A value may be reached by several paths; it is never a child of itself. What is not
  /// wanted is left out.
  void walk(
      Id root, const std::function<void(const std::string&, Id)>& leaf,
      const std::function<bool(Id)>& wanted = [](Id) { return true; }) const {
    struct Frame {
      Id container;
      std::vector<Child> children;
      std::size_t next;
      std::size_t name_size;  // of the container's own name
    };
    std::vector<Frame> frames;
    std::set<Id> open;
    std::string name;
    std::size_t visits = 0;
    std::size_t name_bytes = 0;
    const auto enter = [&](Id id) {
      if (!wanted(id)) return;
      if (!is_container(id)) {
        leaf(name, id);
      } else if (open.insert(id).second) {
        frames.push_back({id, children(id), 0, name.size()});
      }
    };
    enter(root);
    while (!frames.empty()) {
      Frame& frame = frames.back();
      name.resize(frame.name_size);
      if (frame.next == frame.children.size()) {
        open.erase(frame.container);
        frames.pop_back();
        continue;
      }
      const std::size_t position = frame.next++;
      const Child child = frame.children[position];
      const std::string key = child.key == kNoKey ? std::to_string(position) : key_text(child.key);
      if (!name.empty()) name += '.';
      name += key;
      // Objects that are reached by many paths may not make a small file into a large tree.
      name_bytes += name.size();
      TORCH_CHECK(++visits <= 4 * pickle_.values.size() + 1000 && name.size() <= 65536 &&
                      name_bytes <= 16 * pickle_.size + (1 << 20),
                  "load_checkpoint: ", path_,
                  ": expected a tree of about as many members as the "
                  "file has objects, got one in which the same objects are members many times");
      enter(child.value);
    }
  }

  StateDict collect(Id root, const MakeTensor& make_tensor) const {
    NamedTensors tensors;
    std::map<std::string, std::size_t> places;
    walk(root, [&](const std::string& name, Id id) {
      TORCH_CHECK(!pickle_.is(id, Kind::kRefused), "load_checkpoint: ", path_, ": tensor ",
                  shown(name), ": expected a dense one, got a ", refused_kind(id), " one");
      if (!pickle_.is(id, Kind::kTensor)) return;
      const std::string key = name.empty() ? "0" : name;
      const auto [place, added] = places.emplace(key, tensors.size());
      if (added) {
        tensors.emplace_back(key, make_tensor(id, name));
      } else {
        tensors[place->second].second = make_tensor(id, name);  // a key that a dict has twice
      }
    });
    return state_dict_of(path_, std::move(tensors));
  }

  /// The numbers and texts of the whole file, but for the settings of a module's layers.
  std::map<std::string, std::string> texts() const {
    std::map<std::string, std::string> result;
    const auto add = [&](const std::string& name, Id id) {
      const PickleValue& value = pickle_[id];
      if (value.kind == Kind::kText) result[name] = pickle_.text(id);
      if (value.kind == Kind::kInt) result[name] = std::to_string(value.integer);
      if (value.kind == Kind::kFloat) result[name] = number_text(value.real);
      if (value.kind == Kind::kBool) result[name] = value.integer != 0 ? "True" : "False";
    };
    walk(pickle_.root, add, [&](Id id) { return !is_script_module(id); });
    return result;
  }

  Id choose(const LoadCheckpointOptions& options) const {
    const Id root = pickle_.root;
    if (!options.at.empty()) return member(root, options.at);
    if (options.everything || !pickle_.is(root, Kind::kDict)) return root;
    std::vector<Child> usual;
    std::vector<Child> others;
    for (const Child& child : children(root)) {
      if (pickle_.is(child.value, Kind::kTensor) || !has_tensor(child.value)) continue;
      const std::string key = key_text(child.key);
      const bool known =
          std::find(std::begin(kUsualNames), std::end(kUsualNames), key) != std::end(kUsualNames);
      (known ? usual : others).push_back(child);
    }
    if (usual.size() == 1) return usual[0].value;
    if (usual.empty() && (others.empty() || has_own_tensor(root))) return root;
    const std::vector<Child>& candidates = usual.empty() ? others : usual;
    std::string names;
    for (const Child& child : candidates) {
      names += (names.empty() ? "" : ", ") + shown(key_text(child.key));
      if (names.size() > 500) {
        names += ", ...";
        break;
      }
    }
    TORCH_CHECK(false, "load_checkpoint: ", path_,
                ": expected one state_dict, or one under a usual name such as \"state_dict\", got ",
                names, ": choose by {.at = ", shown(key_text(candidates[0].key)), "}");
  }

  /// What a file holds that has no tensor.
  std::string description(Id id) const {
    switch (pickle_[id].kind) {
      case Kind::kNone:
        return "None";
      case Kind::kBool:
        return "a bool";
      case Kind::kInt:
      case Kind::kBigInt:
        return "an int";
      case Kind::kFloat:
        return "a float";
      case Kind::kText:
        return "a text";
      case Kind::kBytes:
        return "bytes";
      case Kind::kGlobal:
        return "the name " + global_name(id);
      case Kind::kObject:
        return "an object of " + global_name(pickle_.object(id).callable);
      case Kind::kList:
        return c10::str("a list of ", pickle_.list(id).size(), " items");
      case Kind::kDict:
        return "a dict of " + keys(id);
      case Kind::kStorage:
        return "a storage without a tensor";
      case Kind::kTensor:
        return "a tensor";
      case Kind::kRefused:
        return "a tensor";
    }
    return "";
  }

 private:
  const char* refused_kind(Id id) const {
    return pickle_.is(id, Kind::kRefused) ? pickle_.refused[pickle_[id].index] : "";
  }

  /// TorchScript's classes are in __torch__.
  bool is_script_module(Id id) const {
    if (!pickle_.is(id, Kind::kObject)) return false;
    const Id callable = pickle_.object(id).callable;
    return pickle_.is(callable, Kind::kGlobal) &&
           pickle_.globals[pickle_[callable].index].module.starts_with("__torch__");
  }

  bool is_container(Id id) const {
    if (pickle_.is(id, Kind::kList) || pickle_.is(id, Kind::kDict)) return true;
    return pickle_.is(id, Kind::kObject) && pickle_.is(pickle_.object(id).state, Kind::kDict);
  }

  /// The members of a container. A pickled torch.nn.Module has those of a state_dict: its
  /// parameters, its persistent buffers, then its children.
  std::vector<Child> children(Id id) const {
    std::vector<Child> result;
    const auto add = [&](Id dict, Id left_out) {
      if (!pickle_.is(dict, Kind::kDict)) return;
      for (const auto& [key, value] : pickle_.dict(dict)) {
        const Kind kind = pickle_[key].kind;
        if (kind != Kind::kText && kind != Kind::kInt) continue;
        if (kind == Kind::kText && contains(left_out, pickle_.text(key))) continue;
        result.push_back({key, value});
      }
    };
    if (pickle_.is(id, Kind::kList)) {
      for (const Id value : pickle_.list(id)) result.push_back({kNoKey, value});
    } else if (pickle_.is(id, Kind::kDict)) {
      add(id, 0);
    } else {
      const Id state = pickle_.object(id).state;
      if (pickle_.find(state, "_parameters") != 0) {
        add(pickle_.find(state, "_parameters"), 0);
        add(pickle_.find(state, "_buffers"), pickle_.find(state, "_non_persistent_buffers_set"));
        add(pickle_.find(state, "_modules"), 0);
      } else {
        add(state, 0);
      }
    }
    return result;
  }

  bool contains(Id list, std::string_view text) const {
    if (!pickle_.is(list, Kind::kList)) return false;
    const auto& items = pickle_.list(list);
    return std::any_of(items.begin(), items.end(),
                       [&](Id item) { return pickle_.is_text(item, text); });
  }

  std::string key_text(Id key) const {
    return pickle_.is(key, Kind::kText) ? std::string(pickle_.text(key))
                                        : std::to_string(pickle_[key].integer);
  }

  bool has_own_tensor(Id id) const {
    const auto all = children(id);
    return std::any_of(all.begin(), all.end(),
                       [&](const Child& child) { return pickle_.is(child.value, Kind::kTensor); });
  }

  bool has_tensor(Id id) const {
    bool found = false;
    walk(id, [&](const std::string&, Id leaf) { found |= pickle_.is(leaf, Kind::kTensor); });
    return found;
  }

  /// The member of a path such as "ema.model.0", whose keys may have dots themselves.
  Id member(Id root, std::string_view path) const {
    Id id = root;
    std::string_view rest = path;
    while (!rest.empty()) {
      std::size_t longest = 0;
      Id next = 0;
      std::size_t position = 0;
      for (const Child& child : is_container(id) ? children(id) : std::vector<Child>()) {
        const std::string key =
            child.key == kNoKey ? std::to_string(position) : key_text(child.key);
        ++position;
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
    if (!pickle_.is(id, Kind::kGlobal)) return "an unknown class";
    const PickleGlobal& global = pickle_.globals[pickle_[id].index];
    return shown(std::string(global.module) + "." + std::string(global.name));
  }

  std::string keys(Id id) const {
    std::string names;
    for (const Child& child : children(id)) {
      if (names.size() > 300) return names + ", ...";
      names += (names.empty() ? "" : ", ") + shown(key_text(child.key));
    }
    return names.empty() ? "no keys" : names;
  }

  const std::string& path_;
  const Pickle& pickle_;
};

}  // namespace

Checkpoint checkpoint_of(const std::string& path, const Pickle& pickle,
                         const LoadCheckpointOptions& options, const MakeTensor& make_tensor) {
  const PickleTree tree(path, pickle);
  const Id chosen = tree.choose(options);
  Checkpoint checkpoint;
  checkpoint.state = tree.collect(chosen, make_tensor);
  const bool empty_state_dict = pickle.is(chosen, Kind::kDict) && pickle.dict(chosen).empty();
  TORCH_CHECK(!checkpoint.state.is_empty() || empty_state_dict, "load_checkpoint: ", path,
              ": expected tensors, got ", tree.description(chosen));
  checkpoint.metadata = tree.texts();
  return checkpoint;
}

}  // namespace convkit::detail

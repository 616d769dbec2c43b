#include "files/pickle_tree.h"

#include "files/file.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <map>

namespace convkit::detail {

PickleTree::PickleTree(const std::string& path, const Pickle& pickle, ScriptClasses* classes)
    : path_(path), pickle_(pickle), classes_(classes) {
  for (const auto& list : pickle.lists) work_left_ += 16 * list.size();
  for (const auto& dict : pickle.dicts) work_left_ += 16 * dict.size();
  work_left_ += 16 * pickle.values.size() + pickle.size;
}

void PickleTree::fail_many() const {
  TORCH_CHECK(false, "load_checkpoint: ", path_,
              ": expected a tree of about as many members as the file has objects, got one in "
              "which the same objects are members many times");
}

void PickleTree::fail_deep() const {
  TORCH_CHECK(false, "load_checkpoint: ", path_,
              ": expected a tree of at most some 1000 levels of members, got a deeper one");
}

void PickleTree::work(std::size_t amount) {
  if (amount > work_left_) fail_many();
  work_left_ -= amount;
}

bool PickleTree::is_container(Id id) const {
  if (pickle_.is(id, PickleKind::kList) || pickle_.is(id, PickleKind::kDict)) return true;
  if (!pickle_.is(id, PickleKind::kObject)) return false;
  const PickleObject& object = pickle_.object(id);
  return object.items != 0 || pickle_.is(object.state, PickleKind::kDict) ||
         pickle_.is(object.arguments, PickleKind::kList);
}

bool PickleTree::is_script_object(Id id) const {
  if (!pickle_.is(id, PickleKind::kObject)) return false;
  const Id callable = pickle_.object(id).callable;
  return pickle_.is(callable, PickleKind::kGlobal) &&
         pickle_.globals[pickle_[callable].index].module.starts_with("__torch__");
}

bool PickleTree::is_module(Id id) {
  if (!pickle_.is(id, PickleKind::kObject)) return false;
  return is_script_object(id) || part(pickle_.object(id), "_parameters") != 0;
}

void PickleTree::walk(Id root, const std::function<bool(const std::string&, Id)>& leaf,
                      const std::function<bool(const PickleMember&)>& wanted) {
  struct OpenContainer {
    Id container;
    std::vector<PickleMember> children;
    std::size_t next;
    std::size_t name_size;  // of the container's own name
  };
  std::vector<OpenContainer> open_containers;
  std::set<Id> open;
  std::string name;
  bool go_on = true;
  const auto enter = [&](Id id) {
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
    const PickleMember child = innermost.children[innermost.next++];
    const std::string key = key_text(child);
    work(1 + key.size() / 16);
    if (!wanted(child)) continue;
    if (open_containers.size() > 1) name += '.';
    name += key;
    if (name.size() > 65536) fail_many();
    enter(child.value);
  }
}

/// OmegaConf keeps each value in an object with `_val`, and dicts and lists in ones with `_content`.
Id PickleTree::plain(Id id) const {
  constexpr int kDeepest = 8;
  for (int i = 0; i < kDeepest && pickle_.is(id, PickleKind::kObject); ++i) {
    const PickleObject& object = pickle_.object(id);
    if (!pickle_.is(object.callable, PickleKind::kGlobal) ||
        !pickle_.is(object.state, PickleKind::kDict) ||
        !pickle_.globals[pickle_[object.callable].index].module.starts_with("omegaconf.")) {
      return id;
    }
    Id inner = id;
    constexpr std::size_t kMostAttributes = 16;
    const auto& attributes = pickle_.dict(object.state);
    for (std::size_t j = 0; j < std::min(attributes.size(), kMostAttributes); ++j) {
      const auto& [key, value] = attributes[j];
      if (pickle_.is_text(key, "_content") || pickle_.is_text(key, "_val")) inner = value;
    }
    if (inner == id) return id;
    id = inner;
  }
  return id;
}

Id PickleTree::part(const PickleObject& object, std::string_view name) {
  work(pickle_.is(object.state, PickleKind::kDict) ? pickle_.dict(object.state).size() : 1);
  return pickle_.find(object.state, name);
}

std::vector<PickleMember> PickleTree::children(Id id) {
  std::vector<PickleMember> result;
  if (!pickle_.is(id, PickleKind::kObject)) {
    add_items(id, /*are_attributes=*/false, result);
    return result;
  }
  const PickleObject& object = pickle_.object(id);
  if (classes_ != nullptr && is_script_object(id)) {
    add_script_module(id, result);
  } else if (part(object, "_parameters") != 0) {
    add_module(object, result);
  } else {
    add_items(object.state, /*are_attributes=*/true, result);
    add_items(object.items, /*are_attributes=*/false, result);
    if (result.empty() && pickle_.is(object.arguments, PickleKind::kList)) {
      std::vector<PickleMember> arguments;
      add_items(object.arguments, /*are_attributes=*/false, arguments);
      for (const PickleMember& argument : arguments) {
        if (pickle_.is(argument.value, PickleKind::kTensor)) result.push_back(argument);
      }
    }
  }
  return result;
}

void PickleTree::add_module(const PickleObject& object, std::vector<PickleMember>& result) {
  std::set<std::string_view> left_out;
  const Id not_persistent = part(object, "_non_persistent_buffers_set");
  if (pickle_.is(not_persistent, PickleKind::kList)) {
    work(pickle_.list(not_persistent).size());
    for (const Id name : pickle_.list(not_persistent)) {
      if (pickle_.is(name, PickleKind::kText)) left_out.insert(pickle_.text(name));
    }
  }
  add_items(part(object, "_parameters"), /*are_attributes=*/false, result);
  add_items(
      part(object, "_buffers"), /*are_attributes=*/false,
      [&](Id key) {
        return !pickle_.is(key, PickleKind::kText) || !left_out.contains(pickle_.text(key));
      },
      result);
  add_items(part(object, "_modules"), /*are_attributes=*/false, result);
}

/// Of a TorchScript module the parameters, the buffers and the modules in it; nothing of an object
/// of another class, which no state_dict has.
void PickleTree::add_script_module(Id id, std::vector<PickleMember>& result) {
  const PickleObject& object = pickle_.object(id);
  const PickleGlobal& global = pickle_.globals[pickle_[object.callable].index];
  work(1 + (global.module.size() + global.name.size()) / 16);
  const ScriptClass* known = classes_->find(global.module, global.name);
  if (known != nullptr && !known->is_module) return;
  std::vector<PickleMember> attributes;
  add_items(object.state, /*are_attributes=*/true, attributes);
  for (const PickleMember& attribute : attributes) {
    if (known == nullptr || !known->lists_tensors || is_script_object(attribute.value) ||
        known->tensors.contains(key_text(attribute))) {
      result.push_back(attribute);
    }
  }
}

void PickleTree::add_items(Id id, bool are_attributes, std::vector<PickleMember>& result) {
  add_items(id, are_attributes, [](Id) { return true; }, result);
}

/// The items of a list or dict. A dict's key that is neither text nor whole number counts as its
/// position; of two equal keys the last value stands.
void PickleTree::add_items(Id id, bool are_attributes, const std::function<bool(Id key)>& wanted,
                           std::vector<PickleMember>& result) {
  std::size_t position = 0;
  if (pickle_.is(id, PickleKind::kList)) {
    work(pickle_.list(id).size());
    for (const Id value : pickle_.list(id)) {
      result.push_back({PickleMember::kNoKey, position++, plain(value), are_attributes});
    }
  }
  if (!pickle_.is(id, PickleKind::kDict)) return;
  work(pickle_.dict(id).size());
  std::map<std::pair<PickleKind, std::string>, std::size_t> places;
  for (const auto& [key, value] : pickle_.dict(id)) {
    const PickleKind kind = pickle_[key].kind;
    const bool named = kind == PickleKind::kText || kind == PickleKind::kInt;
    const PickleMember child{named ? key : PickleMember::kNoKey, position++, plain(value),
                             are_attributes};
    if (!wanted(key)) continue;
    if (named) {
      const std::string name = key_text(child);
      work(name.size() / 16);
      const auto [place, added] = places.emplace(std::pair(kind, name), result.size());
      if (!added) {
        result[place->second].value = child.value;
        continue;
      }
    }
    result.push_back(child);
  }
}

std::string PickleTree::key_text(const PickleMember& child) const {
  if (child.key == PickleMember::kNoKey) return std::to_string(child.position);
  return pickle_.is(child.key, PickleKind::kText) ? std::string(pickle_.text(child.key))
                                                  : std::to_string(pickle_[child.key].integer);
}

Id PickleTree::member(Id root, std::string_view path) {
  Id id = root;
  std::string_view rest = path;
  while (!rest.empty()) {
    std::size_t longest = 0;
    Id next = 0;
    for (const PickleMember& child :
         is_container(id) ? children(id) : std::vector<PickleMember>()) {
      const std::string key = key_text(child);
      const bool fits = rest == key || (rest.starts_with(key) && rest[key.size()] == '.');
      if (!fits || key.size() < longest) continue;
      longest = key.size();
      next = child.value;
    }
    TORCH_CHECK_VALUE(next != 0, "load_checkpoint: ", path_, ": expected .at to be a member, got ",
                      shown(path), "; ", id == root ? "the file is " : "before that is ",
                      description(id));
    id = next;
    rest.remove_prefix(std::min(rest.size(), longest + 1));
  }
  return id;
}

std::string PickleTree::description(Id id) {
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
    case PickleKind::kRefused:
      return "a tensor";
  }
  return "";
}

std::string PickleTree::global_name(Id id) const {
  if (!pickle_.is(id, PickleKind::kGlobal)) return "an unknown class";
  const PickleGlobal& global = pickle_.globals[pickle_[id].index];
  return shown(std::string(global.module) + "." + std::string(global.name));
}

std::string PickleTree::keys(Id id) {
  std::string names;
  for (const PickleMember& child : children(id)) {
    if (names.size() > 300) return names + ", ...";
    names += (names.empty() ? "" : ", ") + shown(key_text(child));
  }
  return names.empty() ? "no keys" : names;
}

}  // namespace convkit::detail

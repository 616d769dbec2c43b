#include <convkit/tree.h>

#include "files/file.h"

#include <c10/util/Exception.h>

#include <map>

namespace convkit {
namespace {

const char* name_of(Tree::Kind kind) {
  constexpr const char* kNames[] = {"None",   "a bool",   "a whole number", "a number",
                                    "a text", "a tensor", "a list",         "a dict"};
  return kNames[static_cast<int>(kind)];
}

[[noreturn]] void refuse(const char* expected, Tree::Kind got) {
  TORCH_CHECK_VALUE(false, "Tree: expected ", expected, ", got ", name_of(got));
}

std::string key_text(const Tree::Key& key) {
  if (const auto* number = std::get_if<int64_t>(&key)) return std::to_string(*number);
  return detail::shown(std::get<std::string>(key));
}

}  // namespace

/// The entries, and the places of their keys in an ordered table.
struct Tree::Dict {
  std::vector<Entry> entries;
  std::map<Key, std::size_t> places;
};

Tree::Tree(const StateDict& state)
    : value_(std::make_shared<Dict>()), python_(Python::kOrderedDict) {
  for (const auto& entry : state) set(entry.key(), entry.value());
}

Tree Tree::list(std::vector<Tree> items) {
  Tree result;
  result.value_ = std::move(items);
  return result;
}

Tree Tree::tuple(std::vector<Tree> items) {
  Tree result = list(std::move(items));
  result.python_ = Python::kTuple;
  return result;
}

Tree Tree::dict() {
  Tree result;
  result.value_ = std::make_shared<Dict>();
  return result;
}

Tree Tree::counter() {
  Tree result = dict();
  result.python_ = Python::kCounter;
  return result;
}

Tree Tree::numbers(const std::vector<double>& values) {
  return list({values.begin(), values.end()});
}

Tree::Kind Tree::kind() const {
  return static_cast<Kind>(value_.index());
}

bool Tree::boolean() const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  refuse("a bool", kind());
}

int64_t Tree::integer() const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return *value;
  if (const auto* value = std::get_if<bool>(&value_)) return *value ? 1 : 0;
  refuse("a whole number", kind());
}

double Tree::number() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (kind() != Kind::kInt && kind() != Kind::kBool) refuse("a number", kind());
  return static_cast<double>(integer());
}

const std::string& Tree::text() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  refuse("a text", kind());
}

const torch::Tensor& Tree::tensor() const {
  if (const auto* value = std::get_if<torch::Tensor>(&value_)) return *value;
  refuse("a tensor", kind());
}

const std::vector<Tree>& Tree::items() const {
  if (const auto* value = std::get_if<std::vector<Tree>>(&value_)) return *value;
  refuse("a list", kind());
}

std::vector<double> Tree::numbers() const {
  std::vector<double> result;
  for (const Tree& item : items()) result.push_back(item.number());
  return result;
}

const Tree::Dict& Tree::as_dict() const {
  if (const auto* value = std::get_if<std::shared_ptr<Dict>>(&value_)) return **value;
  refuse("a dict", kind());
}

const std::vector<Tree::Entry>& Tree::entries() const {
  return as_dict().entries;
}

void Tree::add(Tree item) {
  items();
  std::get<std::vector<Tree>>(value_).push_back(std::move(item));
}

void Tree::set(Key key, Tree value) {
  as_dict();
  auto& shared = std::get<std::shared_ptr<Dict>>(value_);
  if (shared.use_count() > 1) shared = std::make_shared<Dict>(*shared);
  Dict& dict = *shared;
  const auto [place, added] = dict.places.emplace(key, dict.entries.size());
  if (added) {
    dict.entries.push_back({std::move(key), std::move(value)});
  } else {
    dict.entries[place->second].value = std::move(value);
  }
}

const Tree* Tree::find(const Key& key) const {
  const Dict& dict = as_dict();
  const auto place = dict.places.find(key);
  return place == dict.places.end() ? nullptr : &dict.entries[place->second].value;
}

const Tree& Tree::at(const Key& key) const {
  const Tree* found = find(key);
  TORCH_CHECK_VALUE(found != nullptr, "Tree: expected the key ", key_text(key), ", got a dict of ",
                    entries().size(), " others");
  return *found;
}

StateDict Tree::state_dict() const {
  StateDict result;
  for (const Entry& entry : entries()) {
    const auto* name = std::get_if<std::string>(&entry.key);
    TORCH_CHECK_VALUE(name != nullptr, "Tree: expected the names of tensors, got the key ",
                      key_text(entry.key));
    result.insert(*name, entry.value.tensor());
  }
  return result;
}

}  // namespace convkit

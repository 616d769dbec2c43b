#include "compare/steps_file.h"

#include "files/file.h"

#include <algorithm>
#include <vector>

namespace convkit::detail {

namespace {

using nlohmann::json;

/// The value of an option; a dict is none.
Tree tree_of(const std::string& name, const json& value) {
  if (value.is_null()) return {};
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  TORCH_CHECK_VALUE(value.is_array(), "expected a value for the option ", shown(name),
                    ", got an object");
  Tree list = Tree::list();
  for (const json& item : value) list.add(tree_of(name, item));
  return list;
}

json json_of(const Tree& value) {
  switch (value.kind()) {
    case Tree::Kind::kBool:
      return value.boolean();
    case Tree::Kind::kInt:
      return value.integer();
    case Tree::Kind::kFloat:
      return value.number();
    case Tree::Kind::kText:
      return value.text();
    case Tree::Kind::kList: {
      json list = json::array();
      for (const Tree& item : value.items()) list.push_back(json_of(item));
      return list;
    }
    default:
      TORCH_CHECK_VALUE(value.is_none(),
                        "save_recording: expected options that are numbers, texts or lists");
      return nullptr;
  }
}

/// Takes the number that a key goes on with, and the slash after it.
int64_t take_number(const std::string& key, std::string& rest, int64_t least, int64_t most) {
  const std::string digits = rest.substr(0, rest.find('/'));
  const bool number = !digits.empty() && digits.size() <= 9 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  const int64_t value = number ? std::stoll(digits) : -1;
  TORCH_CHECK_VALUE(value >= least && value <= most, "expected a number from ", least, " to ", most,
                    " in the name ", shown(key));
  rest = rest.substr(std::min(digits.size() + 1, rest.size()));
  return value;
}

bool take_prefix(std::string& rest, std::string_view prefix) {
  if (!rest.starts_with(prefix)) return false;
  rest = rest.substr(prefix.size());
  return true;
}

constexpr int64_t kMostTensors = 1000;  // that a module takes or gives

/// Puts one tensor of a step at its place.
void place(const std::string& key, std::string rest, const torch::Tensor& tensor,
           std::vector<Recording::Tensors>& steps) {
  const auto count = static_cast<int64_t>(steps.size());
  Recording::Tensors& step = steps[static_cast<std::size_t>(take_number(key, rest, 1, count) - 1)];
  const auto i = static_cast<std::size_t>(take_number(key, rest, 0, kMostTensors - 1));
  TORCH_CHECK_VALUE(rest.empty(), "expected no tensor of the name ", shown(key));
  if (step.size() <= i) step.resize(i + 1);
  step[i] = {std::to_string(i), tensor};
}

/// Refuses a step without tensors, or with a gap in them.
void check(const std::vector<Recording::Tensors>& steps, const char* what) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const bool whole = !steps[i].empty() && std::ranges::all_of(steps[i], [](const auto& named) {
      return named.second.defined();
    });
    TORCH_CHECK_VALUE(whole, "expected all ", what, "s of step ", i + 1);
  }
}

void check(const Recording::Steps& steps, int64_t count) {
  check(steps.inputs, "input");
  check(steps.targets, "target");
  const torch::Tensor& losses = steps.losses;
  TORCH_CHECK_VALUE(
      losses.defined() && losses.sizes() == torch::IntArrayRef{count} && losses.is_floating_point(),
      "expected steps/loss to have ", count, " numbers");
  for (const auto& entry : steps.hashes) {
    const torch::Tensor& hash = entry.value();
    TORCH_CHECK_VALUE(
        hash.sizes() == torch::IntArrayRef{count} && hash.scalar_type() == torch::kLong,
        "expected ", shown("steps/hash/" + entry.key()), " to have ", count, " whole numbers");
  }
  TORCH_CHECK_VALUE(steps.states.contains(count), "expected the weights after step ", count,
                    ", the last one");
}

}  // namespace

Recording::Steps read_steps(const json& given,
                            const std::map<std::string, torch::Tensor>& tensors) {
  const auto is = [&](const char* name, auto f) { return given.contains(name) && f(given[name]); };
  constexpr int64_t kMost = 100000;
  TORCH_CHECK_VALUE(
      given.is_object() &&
          is("count",
             [](const json& n) { return n.is_number_integer() && n >= 1 && n <= kMost; }) &&
          is("optimizer", [](const json& name) { return name.is_string(); }) &&
          is("options", [](const json& options) { return options.is_object(); }),
      "expected a count from 1 to ", kMost, ", an optimizer and an object of options for steps");
  const auto count = given["count"].get<int64_t>();
  Recording::Steps steps;
  steps.optimizer = given["optimizer"].get<std::string>();
  steps.options = Tree::dict();
  for (const auto& [name, value] : given["options"].items()) {
    steps.options.set(name, tree_of(name, value));
  }
  steps.inputs.resize(static_cast<std::size_t>(count));
  steps.targets.resize(static_cast<std::size_t>(count));
  for (const auto& [key, tensor] : tensors) {
    std::string rest = key;
    take_prefix(rest, "steps/");
    if (rest == "loss") {
      steps.losses = tensor;
    } else if (take_prefix(rest, "input/")) {
      place(key, rest, tensor, steps.inputs);
    } else if (take_prefix(rest, "target/")) {
      place(key, rest, tensor, steps.targets);
    } else if (take_prefix(rest, "hash/")) {
      steps.hashes.insert(rest, tensor);
    } else {
      TORCH_CHECK_VALUE(take_prefix(rest, "state/"), "expected no tensor of the name ", shown(key));
      steps.states[take_number(key, rest, 1, count)].insert(rest, tensor);
    }
  }
  check(steps, count);
  return steps;
}

json write_steps(const Recording::Steps& steps, StateDict& tensors) {
  const auto insert = [&](const char* kind, const std::vector<Recording::Tensors>& all) {
    for (std::size_t step = 0; step < all.size(); ++step) {
      for (std::size_t i = 0; i < all[step].size(); ++i) {
        tensors.insert(c10::str("steps/", kind, "/", step + 1, "/", i), all[step][i].second);
      }
    }
  };
  insert("input", steps.inputs);
  insert("target", steps.targets);
  tensors.insert("steps/loss", steps.losses);
  for (const auto& entry : steps.hashes) tensors.insert("steps/hash/" + entry.key(), entry.value());
  for (const auto& [step, state] : steps.states) {
    for (const auto& entry : state) {
      tensors.insert(c10::str("steps/state/", step, "/", entry.key()), entry.value());
    }
  }
  json options = json::object();
  for (const Tree::Entry& entry : steps.options.entries()) {
    options[std::get<std::string>(entry.key)] = json_of(entry.value);
  }
  return {{"count", steps.inputs.size()}, {"optimizer", steps.optimizer}, {"options", options}};
}

}  // namespace convkit::detail

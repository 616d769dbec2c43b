#include "compile/plan/graph.h"

#include "core/strides.h"

#include <algorithm>

namespace convkit::detail {

Graph::Graph(const Tape& tape)
    : values(tape.values),
      steps(tape.operations.begin(), tape.operations.end()),
      outputs(tape.outputs),
      input_count(tape.input_count),
      storages(tape.storages) {}

bool Graph::is_raw(const Step& step) const {
  const auto raw = [&](int64_t id) { return !is_pure(id); };
  const auto read = inputs_of(step);
  const auto made = outputs_of(step);
  return std::any_of(read.begin(), read.end(), raw) || std::any_of(made.begin(), made.end(), raw);
}

int64_t Graph::new_value(std::vector<int64_t> sizes, torch::Dtype dtype) {
  const auto id = static_cast<int64_t>(values.size());
  Value& fresh = values.emplace_back();
  fresh.strides = row_strides(sizes);
  fresh.sizes = std::move(sizes);
  fresh.dtype = dtype;
  fresh.tainted = true;
  give_own_memory(id);
  return id;
}

void Graph::give_own_memory(int64_t id) {
  value(id).storage = -2 - id;  // a number that no tape and no other value has
}

Graph::Links Graph::links() const {
  Links links{std::vector<std::size_t>(values.size(), steps.size()),
              std::vector<int64_t>(values.size(), 0)};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (const int64_t id : outputs_of(steps[i])) {
      links.makers.at(static_cast<std::size_t>(id)) = i;
    }
    for (const int64_t id : inputs_of(steps[i])) ++links.uses.at(static_cast<std::size_t>(id));
  }
  for (const int64_t id : outputs) ++links.uses.at(static_cast<std::size_t>(id));
  return links;
}

std::vector<std::vector<int64_t>> Graph::last_uses() const {
  std::vector<std::vector<int64_t>> result(steps.size());
  std::vector<bool> seen(values.size());
  for (const int64_t id : outputs) seen.at(static_cast<std::size_t>(id)) = true;
  for (std::size_t i = steps.size(); i-- > 0;) {
    const auto see = [&](int64_t id) {
      const auto place = static_cast<std::size_t>(id);
      if (values.at(place).kind == Value::Kind::kConstant || seen.at(place)) return;
      seen.at(place) = true;
      result[i].push_back(id);
    };
    for (const int64_t id : inputs_of(steps[i])) see(id);
    for (const int64_t id : outputs_of(steps[i])) see(id);  // a result that nothing uses
  }
  return result;
}

void Renaming::rename(int64_t from, int64_t to) {
  const int64_t last = (*this)(to);
  const auto place = static_cast<std::size_t>(from);
  if (place >= names_.size()) names_.resize(place + 1, kItself);
  names_[place] = last;
}

int64_t Renaming::operator()(int64_t id) const {
  const auto place = static_cast<std::size_t>(id);
  const bool renamed = id >= 0 && place < names_.size() && names_[place] != kItself;
  return renamed ? names_[place] : id;
}

void Renaming::apply(Step& step) const {
  for_each_input(step, [&](int64_t& id) { id = (*this)(id); });
}

void Renaming::apply(std::vector<int64_t>& ids) const {
  for (int64_t& id : ids) id = (*this)(id);
}

std::string text_of(const Graph& graph) {
  std::set<int64_t> used(graph.outputs.begin(), graph.outputs.end());
  for (const Step& step : graph.steps) {
    for (const int64_t id : inputs_of(step)) used.insert(id);
  }
  std::string text;
  for (const int64_t id : used) {
    const Value& value = graph.value(id);
    const bool begins = value.kind != Value::Kind::kResult || graph.is_constant(id);
    if (begins) text += text_of(id, value) + "\n";
  }
  const auto names = [](const std::vector<int64_t>& ids) {
    std::string list;
    for (const int64_t id : ids) list += c10::str(list.empty() ? "%" : ", %", id);
    return list;
  };
  for (const Step& step : graph.steps) {
    text += names(outputs_of(step)) + " = " + describe(step) + "(" + names(inputs_of(step)) + ")";
    for (const int64_t id : outputs_of(step)) {
      text += "  " + c10::str(torch::IntArrayRef(graph.value(id).sizes));
    }
    text += "\n";
  }
  return text + "return " + names(graph.outputs) + "\n";
}

}  // namespace convkit::detail

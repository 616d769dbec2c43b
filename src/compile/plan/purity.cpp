#include "compile/plan/purity.h"

#include <algorithm>
#include <optional>

namespace convkit::detail {

namespace {

/// The operator that makes a new tensor, of one in place.
std::optional<c10::OperatorHandle> pure_form(const Operation& operation) {
  c10::OperatorName name = operation.handle.operator_name();
  if (!name.name.ends_with('_') || operation.outputs.size() != 1) return std::nullopt;
  name.name.pop_back();
  const auto handle = c10::Dispatcher::singleton().findSchema(name);
  const bool alike = handle && handle->schema().arguments().size() == operation.arguments.size();
  return alike ? handle : std::nullopt;
}

/// Whether a view's result depends on the order of its elements in memory only through its strides.
bool is_view_of_elements(const Operation& operation) {
  const auto& name = operation.handle.operator_name();
  return (name.name == "aten::view" && name.overload_name.empty()) ||
         name.name == "aten::_unsafe_view";
}

}  // namespace

bool counts_on_memory(const Graph& graph) {
  return std::any_of(graph.steps.begin(), graph.steps.end(), [&](const Step& step) {
    const auto& operation = std::get<Operation>(step);
    const auto made = outputs_of(step);
    return operation.name().starts_with("aten::as_strided") &&
           std::any_of(made.begin(), made.end(),
                       [&](int64_t id) { return graph.value(id).tainted; });
  });
}

void find_overwritten(Graph& graph) {
  std::set<int64_t> raw;
  for (const Step& step : graph.steps) {
    const auto& operation = std::get<Operation>(step);
    for (const int64_t id : operation.written) {
      if (id < 0) continue;
      const int64_t number = graph.value(id).storage;
      const bool shared = graph.storages.at(static_cast<std::size_t>(number)).tensors > 1;
      if (shared || graph.exact || !pure_form(operation)) raw.insert(number);
    }
  }
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (raw.contains(graph.values[i].storage)) graph.overwritten.insert(static_cast<int64_t>(i));
  }
}

void make_pure(Graph& graph) {
  const auto reshape = c10::Dispatcher::singleton().findSchemaOrThrow("aten::reshape", "");
  for (Step& step : graph.steps) {
    auto& operation = std::get<Operation>(step);
    const auto made = outputs_of(step);
    if (!std::all_of(made.begin(), made.end(), [&](int64_t id) { return graph.is_pure(id); })) {
      continue;
    }
    if (!operation.written.empty()) {
      operation.handle = pure_form(operation).value();
      operation.written.clear();
      graph.give_own_memory(operation.outputs[0]);
    }
    if (is_view_of_elements(operation)) operation.handle = reshape;
  }
}

}  // namespace convkit::detail

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

/// Whether the operator that makes a new tensor gives the type that the one in place writes.
bool keeps_type(const Graph& graph, const Operation& operation) {
  const torch::Dtype type = graph.value(operation.outputs[0]).dtype;
  const auto inputs = inputs_of(Step(operation));
  return std::all_of(inputs.begin(), inputs.end(), [&](int64_t id) {
    const Value& value = graph.value(id);
    return value.dtype == type || value.dtype == torch::kBool || value.sizes.empty() ||
           (c10::isIntegralType(value.dtype, true) && c10::isFloatingType(type));
  });
}

bool looks_at_memory(const Graph& graph, const Operation& operation) {
  return operation.name().starts_with("aten::as_strided") && !operation.outputs.empty() &&
         graph.value(operation.outputs[0]).tainted;
}

/// Makes an operator one that takes sizes instead of what it has after its first argument.
void take_sizes(Operation& operation, const char* name, const std::vector<int64_t>& sizes) {
  operation.handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, "");
  operation.arguments.resize(1);
  Argument& argument = operation.arguments.emplace_back();
  argument.constant = c10::IValue(sizes);
  if (operation.handle.schema().arguments().size() > 2) {  // expand's `implicit`
    operation.arguments.emplace_back().constant = c10::IValue(false);
  }
}

/// Makes views whose results depend on memory through their sizes alone independent of it.
void free_of_layout(Operation& operation, const std::vector<int64_t>& sizes) {
  const auto& name = operation.handle.operator_name();
  const std::string plain = plain_name(operation);
  const bool view = (plain == "view" && name.overload_name.empty()) || plain == "_unsafe_view";
  if (view || plain == "view_as" || plain == "reshape_as" || plain == "unflatten") {
    take_sizes(operation, "aten::reshape", sizes);
  } else if (plain == "expand_as") {
    take_sizes(operation, "aten::expand", sizes);
  }
}

/// Tells, while one walks the steps in order, whether several tensors share memory by then. A view that is taken of
/// memory after the last write to it sees what was written anyway.
class Sharing {
 public:
  explicit Sharing(const Graph& graph) : graph_(graph), seen_(graph.storages.size()) {
    std::vector<int64_t> all(seen_.size());
    for (const Value& value : graph.values) {
      if (value.kind != Value::Kind::kResult) count(value, seen_);
      count(value, all);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {  // tensors that are one value to the tape
      seen_[i] += graph.storages[i].tensors - all[i];
    }
  }

  void pass(const Operation& operation) {
    for (const int64_t id : operation.outputs) {
      if (id >= 0) count(graph_.value(id), seen_);
    }
  }
  [[nodiscard]] bool is_shared(int64_t storage) const {
    return seen_.at(static_cast<std::size_t>(storage)) > 1;
  }

 private:
  static void count(const Value& value, std::vector<int64_t>& tensors) {
    if (value.same_as < 0 && value.storage >= 0) {
      ++tensors.at(static_cast<std::size_t>(value.storage));
    }
  }

  const Graph& graph_;
  std::vector<int64_t> seen_;
};

}  // namespace

void find_overwritten(Graph& graph) {
  std::set<int64_t> raw;
  Sharing sharing(graph);
  for (const Step& step : graph.steps) {
    const auto& operation = std::get<Operation>(step);
    if (looks_at_memory(graph, operation)) {
      const int64_t storage = graph.value(operation.outputs[0]).storage;
      raw.insert(storage);
      for (std::size_t i = 0; i < graph.input_count; ++i) {
        graph.sees_input_memory |= graph.values[i].storage == storage;
      }
    }
    for (const int64_t id : operation.written) {
      if (id < 0) continue;
      const int64_t number = graph.value(id).storage;
      const bool pure =
          !sharing.is_shared(number) && pure_form(operation) && keeps_type(graph, operation);
      if (!pure || graph.exact) raw.insert(number);
    }
    sharing.pass(operation);
  }
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    if (raw.contains(graph.values[i].storage)) graph.overwritten.insert(static_cast<int64_t>(i));
  }
}

void make_pure(Graph& graph) {
  for (Step& step : graph.steps) {
    auto* operation = std::get_if<Operation>(&step);
    const auto made = outputs_of(step);
    const bool pure = !made.empty() && std::all_of(made.begin(), made.end(),
                                                   [&](int64_t id) { return graph.is_pure(id); });
    if (operation == nullptr || !pure) continue;
    if (!operation->written.empty()) {
      operation->handle = pure_form(*operation).value();
      operation->written.clear();
      graph.give_own_memory(operation->outputs[0]);
    }
    if (made.size() == 1) free_of_layout(*operation, graph.value(made[0]).sizes);
  }
}

}  // namespace convkit::detail

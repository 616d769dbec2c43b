#include "compile/plan/layouts.h"

#include "core/strides.h"
#include "watch/operator_names.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace convkit::detail {

namespace {

/// Whether an operator may become a step that oneDNN computes on values alone.
bool is_product(std::string_view name) {
  return name.starts_with("conv") || name == "linear" || name == "addmm" || name == "matmul" ||
         name == "mm";
}

bool works_on_any_layout(const Operation& operation) {
  const std::string name = plain_name(operation);
  const bool view_of_bytes =
      name == "view" && operation.handle.operator_name().overload_name == "dtype";
  return takes_any_layout(name) && !view_of_bytes;
}

class LayoutKeeper {
 public:
  explicit LayoutKeeper(Graph& graph) : graph_(graph) {}

  void run() {
    Renaming inputs(graph_);
    for (std::size_t i = 0; i < graph_.input_count; ++i)
      take_input(static_cast<int64_t>(i), inputs);
    for (Step& step : graph_.steps) {
      inputs.apply(step);
      take(std::get<Operation>(std::move(step)));
    }
    graph_.steps = std::move(steps_);
    inputs.apply(graph_.outputs);
  }

 private:
  /// An input whose memory is looked at by strides is copied at the begin, since it is the caller's.
  void take_input(int64_t id, Renaming& names) {
    if (graph_.is_pure(id)) return;
    const int64_t copy = copied(id, graph_.value(id).strides, true);
    graph_.value(copy).storage = graph_.value(id).storage;
    graph_.overwritten.erase(id);
    graph_.overwritten.insert(copy);
    names.rename(id, copy);
  }

  void take(Operation operation) {
    std::set<int64_t> storages;
    for (const int64_t id : inputs_of(Step(operation))) storages.insert(graph_.value(id).storage);
    const bool any = works_on_any_layout(operation);
    const bool product = is_product(plain_name(operation));
    for (Argument& argument : operation.arguments) {
      for (int64_t& id : argument.values) {
        if (id < 0 || graph_.is_constant(id)) continue;
        const Value& value = graph_.value(id);
        if (graph_.is_pure(id) && !any) {
          id = copied(id, value.strides, false);
        } else if (!graph_.is_pure(id) && product && value.dtype == torch::kFloat32) {
          id = copied(id, computing_strides(value.sizes), true);
        }
      }
    }
    std::vector<Copy> made;
    const bool has_inputs = !storages.empty();
    for (int64_t& id : operation.outputs) {
      const bool fresh = id >= 0 && !graph_.is_pure(id) && has_inputs &&
                         !storages.contains(graph_.value(id).storage);
      if (!fresh) continue;
      const int64_t pure = graph_.new_value(graph_.value(id).sizes, graph_.value(id).dtype);
      graph_.value(pure).strides = graph_.value(id).strides;
      made.push_back({pure, id, graph_.value(id).strides, true, false});
      id = pure;
    }
    steps_.emplace_back(std::move(operation));
    steps_.insert(steps_.end(), made.begin(), made.end());
  }

  /// A new value: a copy of another one, in a layout.
  int64_t copied(int64_t id, std::vector<int64_t> strides, bool owned) {
    const int64_t copy = graph_.new_value(graph_.value(id).sizes, graph_.value(id).dtype);
    graph_.value(copy).strides = strides;
    steps_.emplace_back(Copy{id, copy, std::move(strides), owned, false});
    return copy;
  }

  Graph& graph_;
  std::vector<Step> steps_;
};

}  // namespace

void keep_layouts(Graph& graph) {
  LayoutKeeper(graph).run();
}

void find_last_copies(Graph& graph) {
  const auto last_uses = graph.last_uses();
  for (std::size_t i = 0; i < graph.steps.size(); ++i) {
    auto* copy = std::get_if<Copy>(&graph.steps[i]);
    if (copy == nullptr) continue;
    copy->last =
        std::find(last_uses[i].begin(), last_uses[i].end(), copy->input) != last_uses[i].end();
  }
}

}  // namespace convkit::detail

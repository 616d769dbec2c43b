#include "compile/plan/simplify.h"

#include <algorithm>
#include <unordered_map>

namespace convkit::detail {

namespace {

bool is_same_tensor(const Graph& graph, int64_t output, int64_t input) {
  for (int64_t id = graph.value(output).same_as; id >= 0; id = graph.value(id).same_as) {
    if (id == input) return true;
  }
  return false;
}

bool may_copy(const std::string& name) {
  return name == "clone" || name == "contiguous" || name == "detach" || name == "alias" ||
         name == "view" || name == "reshape" || name == "flatten" || name == "expand";
}

/// The argument that an operator's only result is equal to; -1 for none.
int64_t identity_of(const Graph& graph, const Operation& operation) {
  if (operation.outputs.size() != 1 || operation.outputs[0] < 0 || !operation.written.empty()) {
    return -1;
  }
  const int64_t output = operation.outputs[0];
  const int64_t input = tensor_argument(operation, 0);
  if (input < 0) return -1;
  const Value& from = graph.value(input);
  const Value& to = graph.value(output);
  if (from.sizes != to.sizes || from.dtype != to.dtype) return -1;
  if (is_same_tensor(graph, output, input)) return input;
  const bool keeps_layout = !graph.exact || from.strides == to.strides;
  const bool pure = graph.is_pure(input) && graph.is_pure(output);
  return may_copy(plain_name(operation)) && keeps_layout && pure ? input : -1;
}

/// Own copies of tensors, one for each.
class Copies {
 public:
  explicit Copies(ConstantPool& pool) : pool_(pool) {}

  void copy(torch::Tensor& tensor) {
    if (!tensor.defined()) return;
    torch::Tensor& own = copies_[tensor.unsafeGetTensorImpl()];
    if (!own.defined()) own = pool_.copy_of(tensor);
    if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) {
      own.unsafeGetTensorImpl()->set_wrapped_number(true);
    }
    originals_.push_back(tensor);  // or a later one could have its address
    tensor = own;
  }

 private:
  ConstantPool& pool_;
  std::unordered_map<const c10::TensorImpl*, torch::Tensor> copies_;
  Tensors originals_;
};

}  // namespace

void fold_constants(Graph& graph) {
  const auto folded = std::erase_if(graph.steps, [&](const Step& step) {
    const auto& outputs = std::get<Operation>(step).outputs;
    return !outputs.empty() && std::all_of(outputs.begin(), outputs.end(), [&](int64_t id) {
      return id < 0 || graph.is_constant(id);
    });
  });
  if (folded > 0) graph.note("computed operators on constants", static_cast<int64_t>(folded));
}

void remove_identities(Graph& graph) {
  Renaming names(graph);
  std::vector<Step> kept;
  kept.reserve(graph.steps.size());
  for (Step& step : graph.steps) {
    names.apply(step);
    const auto* operation = std::get_if<Operation>(&step);
    const int64_t same = operation == nullptr ? -1 : identity_of(graph, *operation);
    if (same < 0) {
      kept.push_back(std::move(step));
    } else {
      names.rename(operation->outputs[0], same);
      graph.note("removed what does nothing");
    }
  }
  graph.steps = std::move(kept);
  names.apply(graph.outputs);
}

void remove_dead(Graph& graph) {
  std::set<int64_t> live(graph.outputs.begin(), graph.outputs.end());
  std::vector<Step> kept;
  for (auto step = graph.steps.rbegin(); step != graph.steps.rend(); ++step) {
    const auto outputs = outputs_of(*step);
    const auto* operation = std::get_if<Operation>(&*step);
    bool needed = operation != nullptr && (outputs.empty() || !operation->written.empty());
    for (const int64_t id : outputs) needed |= live.contains(id) || !graph.is_pure(id);
    if (!needed) continue;
    for (const int64_t id : inputs_of(*step)) live.insert(id);
    kept.push_back(std::move(*step));
  }
  std::reverse(kept.begin(), kept.end());
  graph.steps = std::move(kept);
}

void copy_constants(Graph& graph, ConstantPool& pool) {
  Copies copies(pool);
  std::set<int64_t> used(graph.outputs.begin(), graph.outputs.end());
  for (Step& step : graph.steps) {
    for (const int64_t id : inputs_of(step)) used.insert(id);
    for_each_tensor(step, [&](torch::Tensor& tensor) { copies.copy(tensor); });
  }
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    const auto id = static_cast<int64_t>(i);
    Value& value = graph.values[i];
    if (used.contains(id) && graph.is_constant(id)) {
      value.kind = Value::Kind::kConstant;
      copies.copy(value.tensor);
    } else {
      value.tensor = torch::Tensor();
    }
  }
}

}  // namespace convkit::detail

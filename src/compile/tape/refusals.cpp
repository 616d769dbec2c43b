#include "compile/tape/refusals.h"

#include "compile/tape/tensor_registry.h"
#include "watch/operator_names.h"

#include <ATen/autocast_mode.h>

#include <algorithm>

namespace convkit::detail {

namespace {

/// The argument of a call that its schema calls `name`; nothing where it has none.
const c10::IValue* find_argument(const RecordedCall& call, const char* name) {
  const auto index = call.operation.handle.schema().argumentIndexWithName(name);
  return index ? &call.inputs.at(static_cast<std::size_t>(*index)) : nullptr;
}

bool is_true(const c10::IValue* value) {
  return value != nullptr && value->isBool() && value->toBool();
}

bool is_index_by_values(const RecordedCall& call, const TensorRegistry& registry) {
  const auto& indices = call.operation.arguments.at(1).values;
  return std::any_of(indices.begin(), indices.end(), [&](int64_t id) {
    const bool mask = id >= 0 && (registry.value(id).dtype == torch::kBool ||
                                  registry.value(id).dtype == torch::kByte);
    return mask && registry.is_tainted(id);
  });
}

}  // namespace

void refuse(const std::string& what) {
  throw Refusal({__func__, __FILE__, __LINE__}, "compile: " + what);
}

void check_eval(const std::string& name, const torch::nn::Module& module) {
  TORCH_CHECK(!module.is_training(), "compile: expected a module in eval mode, got ",
              name.empty() ? "one" : name, " in training mode: call eval() first");
}

void check_autocast() {
  TORCH_CHECK(
      !at::autocast::is_autocast_enabled(at::kCPU) && !at::autocast::is_autocast_enabled(at::kCUDA),
      "compile: autocast is enabled, which plans take no part in");
}

void check_call(const RecordedCall& call, const TensorRegistry& registry) {
  const auto& handle = call.operation.handle;
  const std::string& name = call.operation.name();
  const bool writes_statistics =
      is_true(find_argument(call, "training")) || is_true(find_argument(call, "use_input_stats"));
  const c10::IValue* running = find_argument(call, "running_mean");
  if (writes_statistics && running != nullptr && running->isTensor() &&
      running->toTensor().defined()) {
    refuse(name + " runs in training mode");
  }
  if (name == "aten::resize_" || name == "aten::resize_as_" || name == "aten::set_") {
    refuse("the forward calls " + name + ", which changes what a tensor is");
  }
  if (handle.hasTag(at::Tag::nondeterministic_seeded) && !is_dropout_off(call)) {
    refuse(name + " is random");
  }
  if (!call.tainted || !handle.hasTag(at::Tag::dynamic_output_shape)) return;
  const c10::IValue* classes = find_argument(call, "num_classes");
  if (classes != nullptr && classes->isInt() && classes->toInt() >= 0) return;  // of one_hot
  if (name != "aten::index" || is_index_by_values(call, registry)) {
    refuse("the size of " + name + "'s result depends on the input's values");
  }
}

void check_write(const RecordedCall& call, const TensorRegistry& registry) {
  for (const int64_t id : call.operation.written) {
    const int64_t fixed = id < 0 ? -1 : registry.storage_of(id).fixed;
    if (fixed < 0) continue;
    const Value& owner = registry.value(fixed);
    const std::string& name = call.operation.name();
    if (owner.kind == Value::Kind::kInput) refuse(name + " writes to the forward's input");
    refuse(name + " writes to " +
           (owner.name.empty() ? "a tensor that the forward did not make" : owner.name));
  }
}

void check_result(const RecordedCall& call, const c10::IValue& output) {
  const Operation& operation = call.operation;
  if (!call.tainted || output.isTensor() || is_tensors(output)) return;
  const bool same_tensor = operation.name() == "aten::equal" &&
                           operation.arguments[0].values == operation.arguments[1].values;
  const bool is_torchs = operation.name().starts_with("aten::");
  if (same_tensor || (is_torchs && tells_shape_alone(plain_name(operation.name())))) return;
  refuse("the forward reads a value that depends on its input, by " + operation.name());
}

bool is_dropout_off(const RecordedCall& call) {
  for (const char* argument : {"train", "training"}) {
    if (const c10::IValue* on = find_argument(call, argument)) return on->isBool() && !on->toBool();
  }
  const c10::IValue* p = find_argument(call, "dropout_p");
  return p != nullptr && p->isDouble() && p->toDouble() == 0;
}

bool is_tensors(const c10::IValue& value) {
  if (value.isTensorList() || value.isOptionalTensorList()) return true;
  if (!value.isList()) return false;
  const auto list = value.toListRef();
  return !list.empty() && std::all_of(list.begin(), list.end(), [](const c10::IValue& element) {
    return element.isTensor() || element.isNone();
  });
}

bool makes_unwritten_memory(const std::string& name) {
  return name.starts_with("aten::empty") || name.starts_with("aten::new_empty");
}

}  // namespace convkit::detail

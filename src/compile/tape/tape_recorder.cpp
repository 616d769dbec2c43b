#include "compile/tape/tape_recorder.h"

#include "compile/tape/refusals.h"
#include "compile/tape/tensor_registry.h"
#include "watch/operator_names.h"
#include "watch/operators.h"

#include <algorithm>
#include <optional>

namespace convkit::detail {

namespace {

/// Calls `f` with each tensor among a call's arguments, absent ones too.
template <typename F>
void for_each_tensor(const c10::IValue& value, const F& f) {
  if (value.isTensor()) {
    f(value.toTensor());
  } else if (is_tensors(value)) {
    for (const c10::IValue& element : value.toListRef()) {
      f(element.isNone() ? torch::Tensor() : element.toTensor());
    }
  }
}

Argument::Kind kind_of(const c10::IValue& value, const c10::Argument& argument) {
  const auto tensor_or_none = c10::OptionalType::ofTensor();
  if (value.isNone() && *argument.type() == *tensor_or_none) return Argument::Kind::kTensor;
  if (value.isTensor()) return Argument::Kind::kTensor;
  if (!is_tensors(value)) return Argument::Kind::kConstant;
  return value.isTensorList() ? Argument::Kind::kTensors : Argument::Kind::kOptionalTensors;
}

/// Writes the tape while the forward runs.
class TapeRecorder : public OperatorObserver {
 public:
  TapeRecorder(const torch::nn::Module& module, const Tensors& inputs) {
    for (const torch::Tensor& input : inputs) registry_.add_input(input);
    tape_.input_count = inputs.size();
    // A sparse or quantized one is refused where an operator takes it.
    const auto add = [&](const torch::Tensor& tensor, const std::string& name) {
      const bool ordinary = tensor.layout() == torch::kStrided && !tensor.is_quantized();
      if (ordinary) registry_.add_constant(tensor, name);
    };
    for (const auto& item : module.named_parameters()) add(item.value(), item.key());
    for (const auto& item : module.named_buffers()) add(item.value(), item.key());
  }

  void before(const c10::OperatorName& name, c10::ArrayRef<const c10::IValue> inputs,
              int64_t depth) override {
    if (depth == 0) begin_call(name, inputs);
  }

  void after(c10::ArrayRef<c10::IValue> outputs, int64_t depth) override {
    if (depth == 0 && call_) end_call(outputs);
  }

  Tape finish(const Tensors& outputs) {
    for (const torch::Tensor& output : outputs) {
      if (!output.defined()) refuse("the forward returns an undefined tensor");
      const int64_t id = registry_.find(output);
      if (id < 0) {
        refuse(
            "the forward's result was made past LibTorch's dispatcher, or is a tensor that is "
            "neither a parameter nor a buffer");
      }
      registry_.check_version(output, "returned");
      tape_.outputs.push_back(id);
    }
    for (std::size_t i = 0; i < tape_.values.size(); ++i) {
      Value& value = tape_.values[i];
      const auto& storage = registry_.storage_of(static_cast<int64_t>(i));
      value.tainted |= storage.tainted;
      const bool varies = value.tainted || storage.varies || storage.unwritten;
      if (value.kind == Value::Kind::kResult && varies) value.tensor = torch::Tensor();
    }
    // A tensor that empty() made and a pointer filled has become a constant.
    std::erase_if(tape_.operations, [&](const Operation& operation) {
      return makes_unwritten_memory(operation.name()) && operation.outputs.size() == 1 &&
             registry_.value(operation.outputs[0]).kind == Value::Kind::kConstant;
    });
    for (std::size_t i = 0; i < tape_.operations.size(); ++i) {
      tape_.operations[i].place = static_cast<int64_t>(i);
    }
    return std::move(tape_);
  }

 private:
  void begin_call(const c10::OperatorName& name, c10::ArrayRef<const c10::IValue> inputs) {
    auto handle = c10::Dispatcher::singleton().findOp(name);
    if (!handle) {
      refuse(name.name.empty() ? "the forward computes gradients"
                               : "the forward calls " + name.name + ", which has no schema");
    }
    const c10::FunctionSchema& schema = handle->schema();
    if (schema.name() == "aten::_has_compatible_shallow_copy_type") {
      refuse("the forward replaces a tensor's data (set_data)");
    }
    call_.emplace(RecordedCall{
        {*handle, {}, {}, {}, -1}, std::vector<c10::IValue>(inputs.begin(), inputs.end()), false});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      add_argument(inputs[i], schema.arguments().at(i));
    }
    check_call(*call_, registry_);
    // Dropout in place writes nothing in eval mode.
    if (schema.name().find("dropout") != std::string::npos && is_dropout_off(*call_)) {
      call_->operation.written.clear();
    }
    check_write(*call_, registry_);
  }

  void add_argument(const c10::IValue& value, const c10::Argument& described) {
    const auto* alias = described.alias_info();
    const bool writes = alias != nullptr && alias->isWrite();
    const bool views = alias != nullptr && !alias->isWrite();
    Operation& operation = call_->operation;
    Argument& argument = operation.arguments.emplace_back();
    argument.kind = kind_of(value, described);
    if (argument.kind == Argument::Kind::kConstant) {
      argument.constant = value.isList() ? value.deepcopy() : value;
      return;
    }
    if (value.isNone()) argument.values.push_back(-1);
    const bool shape =
        reads_shape_alone(plain_name(operation.name()), operation.arguments.size() - 1);
    const bool reads = !writes && !views && !shape;
    for_each_tensor(value, [&](const torch::Tensor& tensor) {
      argument.values.push_back(tensor.defined() ? use(tensor, operation.name(), reads) : -1);
    });
    for (const int64_t id : argument.values) {
      call_->tainted |= registry_.is_tainted(id);
      if (writes) operation.written.push_back(id);
    }
  }

  /// The value of a tensor that an operator takes.
  int64_t use(const torch::Tensor& tensor, const std::string& name, bool reads) {
    registry_.check_version(tensor, "given to " + name);
    const int64_t id = registry_.find(tensor);
    if (id < 0) {
      if (registry_.knows_memory_of(tensor) && registry_.is_memory_tainted(tensor)) {
        refuse(name + " is given a view that was made past LibTorch's dispatcher");
      }
      return registry_.add_constant(tensor, "");
    }
    if (registry_.storage_of(id).unwritten && reads) {  // filled through a pointer
      registry_.make_constant(id, tensor.clone());
    }
    return id;
  }

  void end_call(c10::ArrayRef<c10::IValue> outputs) {
    RecordedCall call = std::move(*call_);
    call_.reset();
    Operation& operation = call.operation;
    if (outputs.empty() && !operation.handle.schema().returns().empty()) return;  // it has thrown

    bool has_tensors = outputs.empty();
    for (const c10::IValue& output : outputs) {
      check_result(call, output);
      has_tensors |= output.isTensor() || is_tensors(output);
    }
    if (!has_tensors) return;  // a number that is the same for every input

    for (const int64_t id : operation.written) {
      if (id >= 0) registry_.note_write(id, call.tainted);
    }
    for (const Argument& argument : operation.arguments) {
      for (const int64_t id : argument.values) {
        if (id >= 0) registry_.storage_of(id).read |= call.tainted;
      }
    }
    for (const c10::IValue& input : call.inputs) {
      for_each_tensor(input, [&](const torch::Tensor& tensor) {
        if (tensor.defined()) registry_.see_version(tensor);
      });
    }
    for (const c10::IValue& output : outputs) add_output(output, call);
    tape_.operations.push_back(std::move(operation));
  }

  void add_output(const c10::IValue& output, RecordedCall& call) {
    auto& ids = call.operation.outputs;
    if (output.isTensor()) {
      ids.push_back(add_result(output.toTensor(), call));
    } else if (is_tensors(output)) {
      if (!output.isTensorList()) {
        refuse(call.operation.name() + " returns a list that is not of tensors alone");
      }
      for (const torch::Tensor& tensor : output.toTensorVector()) {
        ids.push_back(add_result(tensor, call));
      }
    } else {
      ids.push_back(-1);
    }
  }

  int64_t add_result(const torch::Tensor& tensor, const RecordedCall& call) {
    if (!tensor.defined()) return -1;
    const bool fresh = !registry_.knows_memory_of(tensor);
    const int64_t id = registry_.add(tensor);
    registry_.value(id).tainted = call.tainted;
    if (fresh) registry_.storage_of(id).unwritten = makes_unwritten_memory(call.operation.name());
    if (!call.tainted) registry_.value(id).tensor = tensor;
    return id;
  }

  Tape tape_;
  TensorRegistry registry_{tape_};
  std::optional<RecordedCall> call_;
};

}  // namespace

Tape record_tape(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs,
                 Tensors* outputs) {
  const torch::NoGradGuard no_grad;  // InferenceMode has no version counters, which find writes
  TapeRecorder recorder(module, inputs);
  Tensors results;
  observe_operators(recorder, [&] { results = forward(inputs); });
  Tape tape = recorder.finish(results);
  *outputs = std::move(results);
  return tape;
}

}  // namespace convkit::detail

#include "compile/tape/tape.h"

#include "watch/operator_names.h"
#include "watch/operators.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <sstream>
#include <unordered_map>

namespace convkit::detail {

namespace {

[[noreturn]] void refuse(const std::string& what) {
  TORCH_CHECK(false, "compile: ", what);
  std::abort();  // never: g++ 12 does not see that TORCH_CHECK(false) throws
}

bool makes_unwritten_memory(const std::string& name) {
  return name.starts_with("aten::empty") || name.starts_with("aten::new_empty");
}

bool is_tensors(const c10::IValue& value) {
  if (value.isTensorList() || value.isOptionalTensorList()) return true;
  if (!value.isList()) return false;
  const auto list = value.toListRef();
  return !list.empty() && std::all_of(list.begin(), list.end(), [](const c10::IValue& element) {
    return element.isTensor() || element.isNone();
  });
}

/// `argument` of a call that has it under that name, else nothing.
const c10::IValue* find(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& inputs,
                        const char* argument) {
  const auto index = schema.argumentIndexWithName(argument);
  return index ? &inputs.at(static_cast<std::size_t>(*index)) : nullptr;
}

bool is_true(const c10::IValue* value) {
  return value != nullptr && value->isBool() && value->toBool();
}

bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.is_same(b)) return true;
  if (a.sizes() != b.sizes() || a.dtype() != b.dtype() || a.device() != b.device()) return false;
  const torch::Tensor x = a.detach().cpu().contiguous();
  const torch::Tensor y = b.detach().cpu().contiguous();
  return std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

bool same_constant(const c10::IValue& a, const c10::IValue& b) {
  if (a.isNone() || b.isNone()) return a.isNone() && b.isNone();
  const bool both_nan =
      a.isDouble() && b.isDouble() && std::isnan(a.toDouble()) && std::isnan(b.toDouble());
  return both_nan || a == b;
}

class Recorder : public OperatorObserver {
 public:
  Recorder(const torch::nn::Module& module, const Tensors& inputs) {
    for (const torch::Tensor& input : inputs) {
      Value& value = tape_.values.at(static_cast<std::size_t>(add(input)));
      value.kind = Value::Kind::kInput;
      value.tainted = true;
      info(value).tainted = true;
    }
    tape_.input_count = inputs.size();
    for (const auto& item : module.named_parameters()) add_constant(item.value(), item.key());
    for (const auto& item : module.named_buffers()) add_constant(item.value(), item.key());
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
      TORCH_CHECK(output.defined(), "compile: the forward returns an undefined tensor");
      const int64_t id = find_value(output);
      if (id < 0) refuse("the forward's result was made past LibTorch's dispatcher");
      check_version(output, "returned");
      tape_.outputs.push_back(id);
    }
    for (Value& value : tape_.values) {
      value.tainted |= info(value).tainted;
      const bool varies = value.tainted || info(value).varies;
      if (value.kind == Value::Kind::kResult && varies) value.tensor = torch::Tensor();
    }
    // What empty() made and a pointer filled has become a constant.
    std::erase_if(tape_.operations, [&](const Operation& operation) {
      return makes_unwritten_memory(operation.name()) && operation.outputs.size() == 1 &&
             value(operation.outputs[0]).kind == Value::Kind::kConstant;
    });
    return std::move(tape_);
  }

 private:
  using Impl = c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;
  using Memory = c10::weak_intrusive_ptr<c10::StorageImpl>;

  void begin_call(const c10::OperatorName& name, c10::ArrayRef<const c10::IValue> inputs) {
    auto handle = c10::Dispatcher::singleton().findOp(name);
    if (!handle) {
      refuse(name.name.empty() ? "the forward computes gradients"
                               : "the forward calls " + name.name + ", which has no schema");
    }
    const c10::FunctionSchema& schema = handle->schema();
    call_.emplace(Call{Operation{*handle, {}, {}, {}},
                       std::vector<c10::IValue>(inputs.begin(), inputs.end()), false});
    Operation& operation = call_->operation;
    if (schema.name() == "aten::_has_compatible_shallow_copy_type") {
      refuse("the forward replaces a tensor's data (set_data)");
    }

    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto* alias = schema.arguments().at(i).alias_info();
      const bool writes = alias != nullptr && alias->isWrite();
      const bool views = alias != nullptr && !alias->isWrite();
      Argument& argument = operation.arguments.emplace_back();
      const auto add_tensor = [&](const torch::Tensor& tensor) {
        argument.values.push_back(tensor.defined() ? use(tensor, schema.name(), writes, views)
                                                   : -1);
        if (writes) operation.written.push_back(argument.values.back());
      };
      const auto tensor_or_none = c10::OptionalType::ofTensor();
      if (inputs[i].isNone() && *schema.arguments().at(i).type() == *tensor_or_none) {
        argument.kind = Argument::Kind::kTensor;
        add_tensor({});
      } else if (inputs[i].isTensor()) {
        argument.kind = Argument::Kind::kTensor;
        add_tensor(inputs[i].toTensor());
      } else if (is_tensors(inputs[i])) {
        argument.kind =
            inputs[i].isTensorList() ? Argument::Kind::kTensors : Argument::Kind::kOptionalTensors;
        for (const c10::IValue& element : inputs[i].toListRef()) {
          add_tensor(element.isNone() ? torch::Tensor() : element.toTensor());
        }
      } else {
        argument.constant = inputs[i].isList() ? inputs[i].deepcopy() : inputs[i];
      }
      for (const int64_t id : argument.values) call_->tainted |= is_tainted(id);
    }
    check(schema);
    // In eval mode dropout in place writes nothing.
    if (schema.name().find("dropout") != std::string::npos && is_dropout_off(schema)) {
      operation.written.clear();
    }
    for (const int64_t id : operation.written) check_write(id, schema.name());
  }

  void end_call(c10::ArrayRef<c10::IValue> outputs) {
    Call call = std::move(*call_);
    call_.reset();
    Operation& operation = call.operation;
    if (outputs.empty() && !operation.handle.schema().returns().empty()) return;  // it has thrown

    bool has_tensors = outputs.empty();
    for (const c10::IValue& output : outputs) {
      const bool tensors = output.isTensor() || is_tensors(output);
      has_tensors |= tensors;
      const bool same = operation.name() == "aten::equal" &&
                        operation.arguments[0].values == operation.arguments[1].values;
      if (!tensors && call.tainted && !same && !tells_shape_alone(plain_name(operation.name()))) {
        refuse("the forward reads a value that depends on its input, by " + operation.name());
      }
    }
    if (!has_tensors) return;  // a number that is the same for every input

    for (const int64_t id : operation.written) {
      if (id < 0) continue;
      StorageInfo& storage = info(value(id));
      storage.unwritten = false;
      storage.tainted |= call.tainted;
      storage.varies |= storage.read;
      tape_.storages.at(static_cast<std::size_t>(value(id).storage)).written = true;
    }
    for (const Argument& argument : operation.arguments) {
      for (const int64_t id : argument.values) {
        if (id < 0) continue;
        info(value(id)).read |= call.tainted;
        see_versions(value(id).storage);
      }
    }
    for (const c10::IValue& output : outputs) {
      if (output.isTensor()) {
        operation.outputs.push_back(add_result(output.toTensor(), call));
      } else if (is_tensors(output)) {
        refuse_lists_of_none(output, operation.name());
        for (const torch::Tensor& tensor : output.toTensorVector()) {
          operation.outputs.push_back(add_result(tensor, call));
        }
      } else {
        operation.outputs.push_back(-1);
      }
    }
    tape_.operations.push_back(std::move(operation));
  }

  /// Weak, or every activation would live until the end; but their addresses stay taken.
  struct Known {
    Impl impl;
    int64_t id = -1;
    uint32_t version = 0;
  };
  struct StorageInfo {
    Memory memory;
    std::vector<c10::TensorImpl*> impls;
    bool tainted = false;    ///< holds what depends on the inputs
    bool unwritten = false;  ///< made by empty(), and no operator has written to it
    bool read = false;       ///< by an operator that depends on the inputs
    bool varies = false;     ///< written after that
  };
  struct Call {
    Operation operation;
    std::vector<c10::IValue> inputs;
    bool tainted = false;
  };

  Value& value(int64_t id) { return tape_.values.at(static_cast<std::size_t>(id)); }
  StorageInfo& info(const Value& value) {
    return storages_.at(static_cast<std::size_t>(value.storage));
  }
  bool is_tainted(int64_t id) { return id >= 0 && (value(id).tainted || info(value(id)).tainted); }

  static uint32_t version_of(const torch::Tensor& tensor) {
    return tensor.is_inference()
               ? 0
               : tensor.unsafeGetTensorImpl()->version_counter().current_version();
  }

  void see_versions(int64_t storage) {
    for (c10::TensorImpl* impl : storages_.at(static_cast<std::size_t>(storage)).impls) {
      Known& known = known_.at(impl);
      if (const auto alive = known.impl.lock()) known.version = version_of(torch::Tensor(alive));
    }
  }

  void check_version(const torch::Tensor& tensor, const std::string& where) {
    const auto known = known_.find(tensor.unsafeGetTensorImpl());
    if (known != known_.end() && known->second.version != version_of(tensor)) {
      refuse(
          "a tensor was written past LibTorch's dispatcher, or on another thread, before it was " +
          where);
    }
  }

  int64_t find_value(const torch::Tensor& tensor) {
    const auto known = known_.find(tensor.unsafeGetTensorImpl());
    if (known != known_.end()) return known->second.id;
    if (!tensor.has_storage()) return -1;
    const auto storage = storage_ids_.find(tensor.storage().unsafeGetStorageImpl());
    if (storage == storage_ids_.end()) return -1;
    // LibTorch wraps the memory of a fresh tensor anew, as `data()` does that of any.
    for (c10::TensorImpl* impl : storages_.at(static_cast<std::size_t>(storage->second)).impls) {
      const Known& other = known_.at(impl);
      const Value& candidate = value(other.id);
      if (candidate.sizes == tensor.sizes() && candidate.strides == tensor.strides() &&
          candidate.dtype == tensor.scalar_type() && offsets_.at(impl) == tensor.storage_offset()) {
        const int64_t id = other.id;
        remember(tensor, id);
        return id;
      }
    }
    return -1;
  }

  void remember(const torch::Tensor& tensor, int64_t id) {
    c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
    const auto [known, is_new] =
        known_.try_emplace(impl, Known{Impl(tensor.getIntrusivePtr()), id, version_of(tensor)});
    known->second.id = id;
    known->second.version = version_of(tensor);
    offsets_[impl] = tensor.storage_offset();
    if (!is_new) return;
    info(value(id)).impls.push_back(impl);
    ++tape_.storages.at(static_cast<std::size_t>(value(id).storage)).tensors;
  }

  /// A new value.
  int64_t add(const torch::Tensor& tensor) {
    if (tensor.layout() != torch::kStrided || !tensor.has_storage() || tensor.is_quantized()) {
      std::ostringstream layout;
      layout << tensor.layout();
      refuse("expected ordinary (strided) tensors, got one of layout " + layout.str());
    }
    Value next;
    next.sizes = tensor.sizes().vec();
    next.strides = tensor.strides().vec();
    next.dtype = tensor.scalar_type();
    const auto [storage, is_new] = storage_ids_.try_emplace(tensor.storage().unsafeGetStorageImpl(),
                                                            static_cast<int64_t>(storages_.size()));
    next.storage = storage->second;
    if (is_new) {
      check_overlap(tensor);
      StorageInfo fresh{Memory(tensor.storage().getWeakStorageImpl()), {}};
      storages_.push_back(std::move(fresh));
      tape_.storages.emplace_back();
    }
    const auto id = static_cast<int64_t>(tape_.values.size());
    const auto known = known_.find(tensor.unsafeGetTensorImpl());
    if (known != known_.end()) next.same_as = known->second.id;
    tape_.values.push_back(std::move(next));
    remember(tensor, id);
    return id;
  }

  int64_t add_constant(const torch::Tensor& tensor, const std::string& name) {
    if (!tensor.defined()) return -1;
    const auto known = known_.find(tensor.unsafeGetTensorImpl());
    if (known != known_.end()) return known->second.id;  // a shared parameter; an input
    const int64_t id = add(tensor);
    value(id).kind = Value::Kind::kConstant;
    value(id).name = name;
    value(id).tensor = tensor;
    return id;
  }

  int64_t add_result(const torch::Tensor& tensor, const Call& call) {
    if (!tensor.defined()) return -1;
    const int64_t id = add(tensor);
    Value& result = value(id);
    result.tainted = call.tainted;
    const bool fresh = info(result).impls.size() == 1 && result.same_as < 0;
    if (fresh) info(result).unwritten = makes_unwritten_memory(call.operation.name());
    if (!call.tainted) result.tensor = tensor;
    return id;
  }

  /// A tensor that an operator takes.
  int64_t use(const torch::Tensor& tensor, const std::string& name, bool writes, bool views) {
    check_version(tensor, "given to " + name);
    int64_t id = find_value(tensor);
    if (id < 0) {
      const auto storage = tensor.has_storage()
                               ? storage_ids_.find(tensor.storage().unsafeGetStorageImpl())
                               : storage_ids_.end();
      if (storage != storage_ids_.end() &&
          storages_.at(static_cast<std::size_t>(storage->second)).tainted) {
        refuse(name + " is given a view that was made past LibTorch's dispatcher");
      }
      return add_constant(tensor, "");
    }
    StorageInfo& storage = info(value(id));
    if (storage.unwritten && !writes && !views) {  // filled through a pointer
      value(id).kind = Value::Kind::kConstant;
      value(id).tensor = tensor.clone();
      storage.unwritten = false;
    }
    return id;
  }

  void check_overlap(const torch::Tensor& tensor) const {
    if (tensor.nbytes() == 0 || !tensor.is_cpu()) return;
    const auto* begin = static_cast<const char*>(tensor.storage().data());
    const auto* end = begin + tensor.storage().nbytes();
    for (const StorageInfo& other : storages_) {
      const auto alive = other.memory.lock();
      if (!alive || !other.tainted || alive->nbytes() == 0) continue;
      const auto* other_begin = static_cast<const char*>(alive->data());
      if (begin < other_begin + alive->nbytes() && other_begin < end) {
        refuse("the forward makes a tensor of another one's memory (from_blob)");
      }
    }
  }

  void check(const c10::FunctionSchema& schema) {
    const auto& [operation, inputs, tainted] = *call_;
    const std::string& name = schema.name();
    const bool writes_statistics = is_true(find(schema, inputs, "training")) ||
                                   is_true(find(schema, inputs, "use_input_stats"));
    const c10::IValue* running = find(schema, inputs, "running_mean");
    if (writes_statistics && running != nullptr && running->isTensor() &&
        running->toTensor().defined()) {
      refuse(name + " runs in training mode");
    }
    if (name == "aten::resize_" || name == "aten::resize_as_" || name == "aten::set_") {
      refuse("the forward calls " + name + ", which changes what a tensor is");
    }
    if (operation.handle.hasTag(at::Tag::nondeterministic_seeded) && !is_dropout_off(schema)) {
      refuse(name + " is random");
    }
    if (!tainted || !operation.handle.hasTag(at::Tag::dynamic_output_shape)) return;
    bool by_value = name != "aten::index";
    if (!by_value) {
      for (const int64_t id : operation.arguments.at(1).values) {
        by_value |=
            is_tainted(id) && (value(id).dtype == torch::kBool || value(id).dtype == torch::kByte);
      }
    }
    if (by_value) refuse("the size of " + name + "'s result depends on the input's values");
  }

  /// Whether a random operator does nothing random: dropout in eval mode.
  bool is_dropout_off(const c10::FunctionSchema& schema) const {
    const auto& inputs = call_->inputs;
    for (const char* argument : {"train", "training"}) {
      if (const c10::IValue* on = find(schema, inputs, argument)) {
        return on->isBool() && !on->toBool();
      }
    }
    const c10::IValue* p = find(schema, inputs, "dropout_p");
    return p != nullptr && p->isDouble() && p->toDouble() == 0;
  }

  void check_write(int64_t id, const std::string& name) {
    if (id < 0) return;
    const int64_t storage = value(id).storage;
    for (const Value& other : tape_.values) {
      if (other.storage != storage || other.kind == Value::Kind::kResult) continue;
      if (other.kind == Value::Kind::kInput) refuse(name + " writes to the forward's input");
      refuse(name + " writes to " +
             (other.name.empty() ? "a tensor that the forward did not make" : other.name));
    }
  }

  static void refuse_lists_of_none(const c10::IValue& list, const std::string& name) {
    if (!list.isTensorList()) refuse(name + " returns a list that is not of tensors alone");
  }

  Tape tape_;
  std::vector<StorageInfo> storages_;
  std::unordered_map<c10::TensorImpl*, Known> known_;
  std::unordered_map<c10::TensorImpl*, int64_t> offsets_;
  std::unordered_map<c10::StorageImpl*, int64_t> storage_ids_;
  std::optional<Call> call_;
};

}  // namespace

void check_eval(const std::string& name, const torch::nn::Module& module) {
  TORCH_CHECK(!module.is_training(), "compile: expected a module in eval mode, got ",
              name.empty() ? "one" : name, " in training mode: call eval() first");
}

void check_autocast() {
  TORCH_CHECK(
      !at::autocast::is_autocast_enabled(at::kCPU) && !at::autocast::is_autocast_enabled(at::kCUDA),
      "compile: autocast is enabled, which plans take no part in");
}

Tape record_tape(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs,
                 Tensors* outputs) {
  const torch::NoGradGuard no_grad;  // InferenceMode has no version counters, which find writes
  Recorder recorder(module, inputs);
  Tensors results;
  observe_operators(recorder, [&] { results = forward(inputs); });
  Tape tape = recorder.finish(results);
  *outputs = std::move(results);
  return tape;
}

void check_same(const Tape& a, const Tape& b) {
  const std::string differs = "compile: the forward does something else on its second run: ";
  TORCH_CHECK(a.operations.size() == b.operations.size(), differs, a.operations.size(),
              " operators, then ", b.operations.size());
  for (std::size_t i = 0; i < a.operations.size(); ++i) {
    const Operation& x = a.operations[i];
    const Operation& y = b.operations[i];
    TORCH_CHECK(x.handle.operator_name() == y.handle.operator_name(), differs, x.name(), ", then ",
                y.name());
    TORCH_CHECK(x.outputs == y.outputs && x.written == y.written, differs, x.name());
    for (std::size_t k = 0; k < x.arguments.size(); ++k) {
      const Argument& p = x.arguments[k];
      const Argument& q = y.arguments[k];
      TORCH_CHECK(p.kind == q.kind && p.values == q.values && same_constant(p.constant, q.constant),
                  differs, "argument ", x.handle.schema().arguments()[k].name(), " of ", x.name(),
                  " is ", p.constant, ", then ", q.constant);
    }
  }
  TORCH_CHECK(a.values.size() == b.values.size() && a.outputs == b.outputs, differs,
              "it uses other tensors");
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const Value& x = a.values[i];
    const Value& y = b.values[i];
    TORCH_CHECK(x.sizes == y.sizes && x.strides == y.strides && x.dtype == y.dtype &&
                    x.kind == y.kind && x.tensor.defined() == y.tensor.defined(),
                differs, "a tensor of size ", x.sizes, " is then one of size ", y.sizes);
    TORCH_CHECK(!x.tensor.defined() || same_bits(x.tensor, y.tensor), differs, "a tensor of size ",
                x.sizes, " that should not depend on the input has another value");
  }
}

void call(const Operation& operation, std::vector<torch::Tensor>& values) {
  const auto tensor = [&](int64_t id) {
    return id < 0 ? torch::Tensor() : values.at(static_cast<std::size_t>(id));
  };
  torch::jit::Stack stack;
  stack.reserve(operation.arguments.size());
  const auto& schema = operation.handle.schema().arguments();
  for (std::size_t i = 0; i < operation.arguments.size(); ++i) {
    const Argument& argument = operation.arguments[i];
    switch (argument.kind) {
      case Argument::Kind::kConstant:
        stack.push_back(argument.constant);
        break;
      case Argument::Kind::kTensor:
        if (argument.values[0] < 0 && schema[i].type()->kind() == c10::TypeKind::OptionalType) {
          stack.emplace_back();  // none: some operators ask whether there is one
        } else {
          stack.emplace_back(tensor(argument.values[0]));
        }
        break;
      case Argument::Kind::kTensors: {
        c10::List<torch::Tensor> list;
        for (const int64_t id : argument.values) list.push_back(tensor(id));
        stack.emplace_back(std::move(list));
        break;
      }
      case Argument::Kind::kOptionalTensors: {
        c10::List<std::optional<torch::Tensor>> list;
        for (const int64_t id : argument.values) {
          list.push_back(id < 0 ? std::nullopt : std::optional(tensor(id)));
        }
        stack.emplace_back(std::move(list));
        break;
      }
    }
  }
  operation.handle.callBoxed(stack);
  std::size_t next = 0;
  const auto put = [&](torch::Tensor result) {
    const int64_t id = operation.outputs.at(next++);
    if (id >= 0) values.at(static_cast<std::size_t>(id)) = std::move(result);
  };
  for (c10::IValue& output : stack) {
    if (output.isTensorList()) {
      for (torch::Tensor& result : output.toTensorVector()) put(std::move(result));
    } else {
      put(output.isTensor() ? std::move(output).toTensor() : torch::Tensor());
    }
  }
}

Tensors replay(const Tape& tape, const Tensors& inputs) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> values(tape.values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (tape.values[i].kind == Value::Kind::kConstant) values[i] = tape.values[i].tensor;
  }
  std::copy(inputs.begin(), inputs.end(), values.begin());
  for (const Operation& operation : tape.operations) call(operation, values);
  Tensors outputs;
  for (const int64_t id : tape.outputs) outputs.push_back(values.at(static_cast<std::size_t>(id)));
  return outputs;
}

}  // namespace convkit::detail

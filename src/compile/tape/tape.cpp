#include "compile/tape/tape.h"

#include "compile/tape/refusals.h"
#include "watch/operator_names.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <sstream>

namespace convkit::detail {

namespace {

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

/// "%3", "-" for a tensor that is not there.
std::string name_of(int64_t id) {
  return id < 0 ? "-" : "%" + std::to_string(id);
}

template <typename Items, typename F>
std::string listed(const Items& items, const F& shown) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : ", ") + shown(item);
  return text;
}

std::string text_of(const Argument& argument) {
  if (argument.kind == Argument::Kind::kConstant) {
    std::ostringstream text;
    if (argument.constant.isDouble()) {
      text << argument.constant.toDouble();
    } else {
      text << argument.constant;
    }
    return argument.constant.isNone() ? "-" : text.str();
  }
  const std::string names = listed(argument.values, name_of);
  return argument.kind == Argument::Kind::kTensor ? names : "[" + names + "]";
}

/// Throws Refusal with the parts as its text, unless something holds.
template <typename... Parts>
void expect(bool holds, const Parts&... parts) {
  if (!holds) refuse(c10::str(parts...));
}

/// The values that each operator is the last one to use, without the tape's results. A value may go while
/// others share its memory: they hold it.
std::vector<std::vector<int64_t>> last_uses(const Tape& tape) {
  std::vector<std::vector<int64_t>> result(tape.operations.size());
  std::vector<bool> seen(tape.values.size());
  const auto see = [&](int64_t id) {
    if (id < 0) return true;
    const bool before = seen.at(static_cast<std::size_t>(id));
    seen.at(static_cast<std::size_t>(id)) = true;
    return before;
  };
  for (const int64_t id : tape.outputs) see(id);
  for (std::size_t i = tape.operations.size(); i-- > 0;) {
    for (const Argument& argument : tape.operations[i].arguments) {
      for (const int64_t id : argument.values) {
        if (!see(id)) result[i].push_back(id);
      }
    }
    for (const int64_t id : tape.operations[i].outputs) {
      if (!see(id)) result[i].push_back(id);
    }
  }
  return result;
}

}  // namespace

std::string text_of(int64_t id, const Value& value) {
  std::string what = value.kind == Value::Kind::kInput ? "input" : value.name;
  if (what.empty()) what = "constant";
  return name_of(id) + " = " + what + "  " + c10::str(torch::IntArrayRef(value.sizes));
}

std::string text_of(const Operation& operation) {
  const std::string overload = operation.handle.operator_name().overload_name;
  std::string name = operation.name();
  if (name.starts_with("aten::")) name.erase(0, 6);
  return listed(operation.outputs, name_of) + (operation.outputs.empty() ? "" : " = ") + name +
         (overload.empty() ? "" : "." + overload) + "(" +
         listed(operation.arguments, [](const Argument& argument) { return text_of(argument); }) +
         ")";
}

std::string text_of(const Tape& tape) {
  std::string text;
  for (std::size_t i = 0; i < tape.values.size(); ++i) {
    if (tape.values[i].kind == Value::Kind::kResult) continue;
    text += text_of(static_cast<int64_t>(i), tape.values[i]) + "\n";
  }
  for (const Operation& operation : tape.operations) {
    text += text_of(operation);
    for (const int64_t id : operation.outputs) {
      if (id < 0) continue;
      const Value& value = tape.values.at(static_cast<std::size_t>(id));
      text += "  " + c10::str(torch::IntArrayRef(value.sizes));
    }
    text += "\n";
  }
  return text + "return " + listed(tape.outputs, name_of) + "\n";
}

void check_same(const Tape& a, const Tape& b) {
  const std::string differs = "the forward does something else on its second run: ";
  expect(a.operations.size() == b.operations.size(), differs, a.operations.size(),
         " operators, then ", b.operations.size());
  for (std::size_t i = 0; i < a.operations.size(); ++i) {
    const Operation& x = a.operations[i];
    const Operation& y = b.operations[i];
    expect(x.handle.operator_name() == y.handle.operator_name(), differs, x.name(), ", then ",
           y.name());
    expect(x.outputs == y.outputs && x.written == y.written, differs, x.name());
    for (std::size_t k = 0; k < x.arguments.size(); ++k) {
      const Argument& p = x.arguments[k];
      const Argument& q = y.arguments[k];
      expect(p.kind == q.kind && p.values == q.values && same_constant(p.constant, q.constant),
             differs, "argument ", x.handle.schema().arguments()[k].name(), " of ", x.name(),
             " is ", p.constant, ", then ", q.constant);
    }
  }
  expect(a.values.size() == b.values.size() && a.outputs == b.outputs, differs,
         "it uses other tensors");
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const Value& x = a.values[i];
    const Value& y = b.values[i];
    expect(x.sizes == y.sizes && x.strides == y.strides && x.dtype == y.dtype && x.kind == y.kind &&
               x.tensor.defined() == y.tensor.defined(),
           differs, "a tensor of size ", x.sizes, " is then one of size ", y.sizes);
    expect(!x.tensor.defined() || same_bits(x.tensor, y.tensor), differs, "a tensor of size ",
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

Tensors replay(const Tape& tape, const Tensors& inputs, const Caller& caller) {
  const torch::NoGradGuard no_grad;
  const auto last = last_uses(tape);
  std::vector<torch::Tensor> values(tape.values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (tape.values[i].kind == Value::Kind::kConstant) values[i] = tape.values[i].tensor;
  }
  std::copy(inputs.begin(), inputs.end(), values.begin());
  for (std::size_t i = 0; i < tape.operations.size(); ++i) {
    caller(tape.operations[i], values);
    for (const int64_t id : last[i]) tensor_at(values, id) = torch::Tensor();
  }
  Tensors outputs;
  for (const int64_t id : tape.outputs) outputs.push_back(values.at(static_cast<std::size_t>(id)));
  return outputs;
}

}  // namespace convkit::detail

#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// One forward, as the list of the operators that it called: a program that can be run again.
namespace convkit::detail {

using Tensors = std::vector<torch::Tensor>;
using Forward = std::function<Tensors(const Tensors&)>;

/// One argument of an operator: a constant, or tensors by the numbers of their values.
struct Argument {
  enum class Kind { kConstant, kTensor, kTensors, kOptionalTensors };
  Kind kind = Kind::kConstant;
  c10::IValue constant;
  std::vector<int64_t> values;  ///< -1 for a tensor that is not there
};

/// A tensor of the program. Every result is a new value, that of an operator in place too.
struct Value {
  enum class Kind { kInput, kConstant, kResult };
  Kind kind = Kind::kResult;
  int64_t storage = -1;  ///< values of one number share memory
  bool tainted = false;  ///< it depends on the inputs
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  torch::Dtype dtype = torch::kFloat32;
  torch::Tensor tensor;  ///< of a constant, and of a result that does not depend on the inputs
  std::string name;      ///< of a parameter or buffer
  /// The value that this one is the same tensor as: where an operator works in place, or returns its
  /// input (dropout in eval mode).
  int64_t same_as = -1;
};

/// A call of an operator.
struct Operation {
  c10::OperatorHandle handle;
  std::vector<Argument> arguments;
  std::vector<int64_t> outputs;  ///< -1 for what is no tensor
  std::vector<int64_t> written;  ///< values that it writes
  int64_t place = -1;            ///< which one of the tape's it is; -1 for one that a plan has made

  [[nodiscard]] const std::string& name() const { return handle.schema().name(); }
};

/// Memory of one or several values.
struct Storage {
  int64_t tensors = 0;  ///< how many tensors share it, those in place not counted
};

struct Tape {
  std::vector<Value> values;  ///< the inputs come first
  std::vector<Storage> storages;
  std::vector<Operation> operations;
  std::vector<int64_t> outputs;
  std::size_t input_count = 0;
};

/// "%3 = conv2d(%0, %1, -, [1, 1], [1, 1], [1, 1], 1)  [1, 8, 8, 8]": inputs, weights and constants,
/// a line for each operator, and the results.
std::string text_of(const Tape& tape);

/// The same for one value that a program begins with, or one call.
std::string text_of(int64_t id, const Value& value);
std::string text_of(const Operation& operation);

/// Throws Refusal, saying where, unless both are the same program with the same constants.
void check_same(const Tape& a, const Tape& b);

/// The tensor of a value.
inline torch::Tensor& tensor_at(std::vector<torch::Tensor>& values, int64_t id) {
  return values.at(static_cast<std::size_t>(id));
}

/// Calls an operator with its tensors from `values`, and puts its results there.
void call(const Operation& operation, std::vector<torch::Tensor>& values);

/// The results for other inputs, by the same operators in the same order. `caller` calls each.
using Caller = std::function<void(const Operation&, std::vector<torch::Tensor>&)>;
Tensors replay(const Tape& tape, const Tensors& inputs, const Caller& caller = call);

}  // namespace convkit::detail

#pragma once

#include "compile/tape/tape.h"

#include <torch/nn/module.h>

#include <string>
#include <vector>

/// The rules for what a tape cannot repeat faithfully, which is refused by its name.
namespace convkit::detail {

class TensorRegistry;

/// A call of an operator while it is recorded.
struct RecordedCall {
  Operation operation;
  std::vector<c10::IValue> inputs;
  bool tainted = false;  ///< it reads what depends on the forward's inputs
};

/// What compile() refuses, by its name. All other errors are those of the module itself, or of its caller.
class Refusal : public c10::Error {
 public:
  using Error::Error;
};

/// Throws Refusal: "compile: " and `what`.
[[noreturn]] void refuse(const std::string& what);

/// Throws c10::Error for a module in training mode, which the error calls `name`.
void check_eval(const std::string& name, const torch::nn::Module& module);

/// Throws c10::Error under autocast.
void check_autocast();

/// Throws c10::Error for a call that is random, writes statistics, changes what a tensor is, or gives
/// a result whose size depends on values.
void check_call(const RecordedCall& call, const TensorRegistry& registry);

/// Throws c10::Error for a write to what the forward did not make.
void check_write(const RecordedCall& call, const TensorRegistry& registry);

/// Throws c10::Error where a call returns a number that depends on the forward's input.
void check_result(const RecordedCall& call, const c10::IValue& output);

/// Whether a random operator does nothing random: dropout in eval mode.
bool is_dropout_off(const RecordedCall& call);

/// Whether a value is a list of tensors, some of which may be absent.
bool is_tensors(const c10::IValue& value);

/// Whether an operator makes memory without writing to it.
bool makes_unwritten_memory(const std::string& name);

}  // namespace convkit::detail

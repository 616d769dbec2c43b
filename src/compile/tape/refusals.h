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

/// What compile() refuses, because a plan would not be faithful. The module itself may be right: with
/// CompileOptions::fallback it runs instead.
class Refusal : public c10::Error {
 public:
  using c10::Error::Error;
};

/// Throws Refusal: "compile: " and `what`.
[[noreturn]] void refuse(const std::string& what);

/// The same, with all `words` one after another, unless a condition holds.
template <typename... Words>
void refuse_unless(bool condition, const Words&... words) {
  if (!condition) refuse(c10::str(words...));
}

/// Throws c10::Error, which is no refusal, for a module in training mode, which the error calls `name`.
void check_eval(const std::string& name, const torch::nn::Module& module);

/// The same under autocast.
void check_autocast();

/// Throws Refusal for a call that is random, writes statistics, changes what a tensor is, or gives
/// a result whose size depends on values.
void check_call(const RecordedCall& call, const TensorRegistry& registry);

/// Throws Refusal for a write to what the forward did not make.
void check_write(const RecordedCall& call, const TensorRegistry& registry);

/// Throws Refusal where a call returns a number that depends on the forward's input.
void check_result(const RecordedCall& call, const c10::IValue& output);

/// Whether a random operator does nothing random: dropout in eval mode.
bool is_dropout_off(const RecordedCall& call);

/// Whether a value is a list of tensors, some of which may be absent.
bool is_tensors(const c10::IValue& value);

/// Whether an operator makes memory without writing to it.
bool makes_unwritten_memory(const std::string& name);

}  // namespace convkit::detail

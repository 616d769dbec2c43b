#pragma once

#include <convkit/compare.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What recording, comparing and summarising share.
namespace convkit::detail {

/// Each module in `module`, itself under "", once.
std::map<const torch::nn::Module*, std::string> module_paths(const torch::nn::Module& module);

/// Runs the module as it is, and gives the calls of all modules in it that can be seen: those that
/// convkit's holders, Sequential and forward_child() call, and torch::nn's with weights.
std::vector<Recording::Call> record_calls(torch::nn::Module& module, const torch::Tensor& input);

/// As record.py has it: no two tensors that differ in one byte have the same.
int64_t hash(const torch::Tensor& tensor);

/// Sets a module to eval mode, and each part back to its own mode at the end of the scope.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& module);
  ~EvalMode();
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;
};

/// Puts buffers back at the end of a scope, whatever a forward writes to them.
class KeepBuffers {
 public:
  explicit KeepBuffers(const torch::nn::Module& module);
  ~KeepBuffers();
  KeepBuffers(const KeepBuffers&) = delete;
  KeepBuffers& operator=(const KeepBuffers&) = delete;

 private:
  std::vector<std::pair<torch::Tensor, torch::Tensor>> copies_;
};

/// How many modules run on this thread, each called by the one before.
int64_t running_depth();

/// What a CallObserver keeps of the calls that have begun. Those that throw do not end: they are
/// known by their depth, and dropped.
template <typename Value>
class OpenCalls {
 public:
  /// To be called in before().
  void begin(Value value) {
    const int64_t depth = running_depth();
    drop(depth);
    calls_.emplace_back(depth, std::move(value));
  }
  /// To be called in after(): what begin() was given, if it was.
  std::optional<Value> end() {
    const int64_t depth = running_depth();
    drop(depth + 1);
    if (calls_.empty() || calls_.back().first != depth) return std::nullopt;
    Value value = std::move(calls_.back().second);
    calls_.pop_back();
    return value;
  }

 private:
  void drop(int64_t depth) {
    while (!calls_.empty() && calls_.back().first >= depth) calls_.pop_back();
  }

  std::vector<std::pair<int64_t, Value>> calls_;
};

}  // namespace convkit::detail

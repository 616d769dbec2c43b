#pragma once

#include <convkit/module.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Says which module runs: convkit's holders, Sequential and forward_child() tell of each call.
namespace convkit::detail {

/// Runs `f`. Meanwhile the observer, and no other one, is told of the calls on this thread.
void observe_calls(CallObserver& observer, const std::function<void()>& f);

/// Gives the path of each module in `module`; its own is "". A module that stands at two places has
/// the first one.
std::map<const torch::nn::Module*, std::string> module_paths(const torch::nn::Module& module);

/// Counts the modules that run on this thread, each called by the one before.
int64_t running_depth();

/// Whether the module runs on this thread.
bool is_running(const torch::nn::Module& module);

/// What a CallObserver keeps of the calls that have begun. A call that throws does not end: it is
/// known by its depth, and dropped.
template <typename Value>
class OpenCalls {
 public:
  /// before() calls this.
  void begin(Value value) {
    const int64_t depth = running_depth();
    drop(depth);
    calls_.emplace_back(depth, std::move(value));
  }
  /// after() calls this: it gives what begin() was given for the call, if it was called.
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

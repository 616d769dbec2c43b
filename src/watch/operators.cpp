// This file is compiled alone and with NDEBUG, as LibTorch's wheel was: RecordFunction has another
// layout without it.
#include "watch/operators.h"

#include <ATen/record_function.h>

#include <exception>
#include <memory>
#include <utility>

namespace convkit::detail {

namespace {

struct Current {
  OperatorObserver* observer = nullptr;
  std::exception_ptr* problem = nullptr;  ///< what the observer has thrown
  int64_t depth = 0;
};

constinit thread_local Current current;

/// Tells the observer, but not of the operators that it runs itself. What it throws waits for the
/// end of the forward: LibTorch would print it and go on.
template <typename Tell>
void guarded(const Tell& tell) {
  OperatorObserver* const observer = std::exchange(current.observer, nullptr);
  try {
    if (*current.problem == nullptr) tell(*observer);
  } catch (...) {
    *current.problem = std::current_exception();
  }
  current.observer = observer;
}

std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
  if (current.observer == nullptr) return nullptr;
  const int64_t depth = current.depth++;
  guarded([&](OperatorObserver& observer) {
    const auto name = function.operator_name();
    observer.before(name.value_or(c10::OperatorName("", "")), function.inputs(), depth);
  });
  return nullptr;
}

void end(const at::RecordFunction& function, at::ObserverContext*) {
  if (current.observer == nullptr) return;
  const int64_t depth = --current.depth;
  guarded([&](OperatorObserver& observer) { observer.after(function.outputs(), depth); });
}

}  // namespace

OperatorObserver::~OperatorObserver() = default;

void observe_operators(OperatorObserver& observer, const std::function<void()>& f) {
  const at::RecordFunctionGuard enabled(true);  // a profiler's guard above may have silenced them
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(start, end)
                                                     .needsInputs(true)
                                                     .needsOutputs(true)
                                                     .scopes({at::RecordScope::FUNCTION}));
  struct Restore {
    at::CallbackHandle handle;
    Current outer;
    ~Restore() {
      at::removeCallback(handle);
      current = outer;
    }
  };
  std::exception_ptr problem;
  {
    const Restore restore{handle, std::exchange(current, Current{&observer, &problem, 0})};
    f();
  }
  if (problem != nullptr) std::rethrow_exception(problem);
}

bool is_observed() {
  return current.observer != nullptr;
}

}  // namespace convkit::detail

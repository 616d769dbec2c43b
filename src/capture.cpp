// Compiled alone and with NDEBUG, as LibTorch's wheel was: the layout of RecordFunction is another
// one without it.
#include "capture.h"

#include <ATen/record_function.h>

#include <memory>
#include <utility>

namespace convkit::detail {

namespace {

struct Current {
  OperatorObserver* observer = nullptr;
  int64_t depth = 0;
};

constinit thread_local Current current;

std::unique_ptr<at::ObserverContext> start(const at::RecordFunction& function) {
  if (current.observer == nullptr) return nullptr;
  const auto name = function.operator_name();
  current.observer->before(name.value_or(c10::OperatorName("", "")), function.inputs(),
                           current.depth++);
  return nullptr;
}

void end(const at::RecordFunction& function, at::ObserverContext*) {
  if (current.observer == nullptr) return;
  current.observer->after(function.outputs(), --current.depth);
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
  } const restore{handle, std::exchange(current, Current{&observer, 0})};
  f();
}

}  // namespace convkit::detail

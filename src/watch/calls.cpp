#include "watch/calls.h"

namespace convkit::detail {

void observe_calls(CallObserver& observer, const std::function<void()>& f) {
  struct Restore {
    CallObserver* const outer;
    ~Restore() { CallObserver::current = outer; }
  };
  const Restore restore{std::exchange(CallObserver::current, &observer)};
  f();
}

std::map<const torch::nn::Module*, std::string> module_paths(const torch::nn::Module& module) {
  std::map<const torch::nn::Module*, std::string> paths = {{&module, ""}};
  for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
    paths.emplace(entry.value().get(), entry.key());
  }
  return paths;
}

int64_t running_depth() {
  int64_t depth = 0;
  for (const Running* running = Running::innermost; running != nullptr; running = running->outer) {
    ++depth;
  }
  return depth;
}

bool is_running(const torch::nn::Module& module) {
  for (const Running* running = Running::innermost; running != nullptr; running = running->outer) {
    if (&running->module == &module) return true;
  }
  return false;
}

}  // namespace convkit::detail

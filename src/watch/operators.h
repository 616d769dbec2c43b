#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/operator_name.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <functional>

/// Sees the operators of a forward: LibTorch has no hooks, but tells its profiler of each one.
namespace convkit::detail {

/// Is told of each operator on this thread, before and after it runs. `depth` is 0 for those that a
/// module calls itself, more for those that an operator is made of.
class OperatorObserver {
 public:
  OperatorObserver() = default;
  OperatorObserver(const OperatorObserver&) = delete;
  OperatorObserver& operator=(const OperatorObserver&) = delete;
  virtual ~OperatorObserver();

  /// `inputs` are all arguments of the schema, defaults included; they are valid during the call
  /// alone.
  virtual void before(const c10::OperatorName& name, c10::ArrayRef<const c10::IValue> inputs,
                      int64_t depth) = 0;
  /// `outputs` is empty if the operator has thrown.
  virtual void after(c10::ArrayRef<c10::IValue> outputs, int64_t depth) = 0;
};

/// Runs `f`, and tells the observer of its operators. Those that other threads run are not seen,
/// nor those that the observer runs itself. An observer that throws is told nothing more, and what
/// it threw is thrown once `f` has ended.
void observe_operators(OperatorObserver& observer, const std::function<void()>& f);

/// Whether an observer is told of the operators that this thread runs now.
bool is_observed();

}  // namespace convkit::detail

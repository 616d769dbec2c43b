#pragma once

#include <convkit/compare.h>

#include <exception>
#include <string>
#include <vector>

/// Makes the rows of a comparison.
namespace convkit::detail {

using Rows = std::vector<ComparisonRow>;

/// Makes a row different for a reason that is no number.
void fail(ComparisonRow& row, const std::string& reason);

/// Compares `ours` with what Python gave, and fills the row.
void judge(ComparisonRow& row, const torch::Tensor& ours, const torch::Tensor& expected,
           double tolerance);

/// Compares all outputs of a call, or of a training step, with what Python gave: a row for each, which
/// is otherwise as `head`.
Rows judged(const ComparisonRow& head, const std::vector<torch::Tensor>& ours,
            const Recording::Tensors& expected, double tolerance);

/// Runs `f`, and makes what it throws the row's reason.
template <typename F>
void guarded(ComparisonRow& row, F f) {
  try {
    f();
  } catch (const c10::Error& error) {
    fail(row, std::string("it throws: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    fail(row, std::string("it throws: ") + error.what());
  }
}

}  // namespace convkit::detail

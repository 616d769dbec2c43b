#pragma once

#include <convkit/optim.h>

#include <vector>

/// The steps of the optimizers: Python's operators in Python's order, so that every bit is the same.
namespace convkit::optim::detail {

using Active = std::vector<ActiveParam>;

void step(const SGDOptions& options, const Active& active);
void step(const AdamOptions& options, const Active& active);
void step(const AdamWOptions& options, const Active& active);
void step(const RMSpropOptions& options, const Active& active);
void step(const AdagradOptions& options, const Active& active);
void step(const NAdamOptions& options, const Active& active);
void step(const RAdamOptions& options, const Active& active);

/// The state with which Adagrad begins.
OptimizerState first_state(const AdagradOptions& options, const torch::Tensor& param);

}  // namespace convkit::optim::detail

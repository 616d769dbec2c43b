#pragma once

#include <convkit/optim.h>

#include <vector>

/// Steps by LibTorch's fused kernels, Python's fused=True.
namespace convkit::optim::detail {

void fused_step(const SGDOptions& options, const std::vector<ActiveParam>& active);
void fused_step(const AdamOptions& options, const std::vector<ActiveParam>& active);
void fused_step(const AdagradOptions& options, const std::vector<ActiveParam>& active);

}  // namespace convkit::optim::detail

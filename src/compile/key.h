#pragma once

#include "compile/tape/tape.h"

#include <convkit/compile.h>

#include <vector>

namespace convkit::detail {

/// A plan is made for the sizes, layouts, types and devices of its inputs, and for a number of threads.
class PlanKey {
 public:
  explicit PlanKey(const Tensors& tensors);

  [[nodiscard]] bool fits(const Tensors& tensors) const;
  void explain(PlanExplanation& plan) const;

 private:
  struct Input {
    std::vector<int64_t> sizes;
    std::vector<int64_t> strides;
    torch::Dtype dtype = torch::kFloat32;
    torch::Device device = torch::kCPU;
  };
  std::vector<Input> inputs_;
  int threads_ = 0;
};

}  // namespace convkit::detail

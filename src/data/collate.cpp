#include <convkit/collate.h>

#include <ATen/ops/stack.h>

namespace convkit::data::detail {

torch::Tensor stacked(const std::vector<torch::Tensor>& tensors) {
  return at::stack(tensors);
}

}  // namespace convkit::data::detail

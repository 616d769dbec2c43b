// This file takes the place of parallel.cpp where convkit is built without Gloo's headers.
#include <convkit/parallel.h>

namespace convkit::parallel {

struct ProcessGroup::State {};

ProcessGroup init_process_group(ProcessGroupOptions) {
  TORCH_CHECK(false, "init_process_group: convkit was built without ", CONVKIT_LACKS);
}

// A group is needed for all of these, and there is none.

int64_t ProcessGroup::rank() const {
  return 0;
}

int64_t ProcessGroup::world_size() const {
  return 1;
}

int64_t ProcessGroup::local_rank() const {
  return 0;
}

void ProcessGroup::barrier() const {}

void ProcessGroup::all_reduce(const torch::Tensor&) const {}

namespace detail {

struct Replica::State {};

Replica::Replica(torch::nn::Module&, const ProcessGroup&, DistributedDataParallelOptions) {}

Replica::~Replica() = default;

void Replica::before_forward() {}

void Replica::after_forward(const std::vector<torch::Tensor*>&) {}

}  // namespace detail
}  // namespace convkit::parallel

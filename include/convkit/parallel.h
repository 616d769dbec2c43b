#pragma once

#include <convkit/module.h>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

/// Training by several processes on CPUs, with the bits of Python's DistributedDataParallel.
///
/// Every process runs the same program, on images of its own:
///
///     const auto group = convkit::parallel::init_process_group();
///     auto net = convkit::models::resnet18();
///     convkit::parallel::DistributedDataParallel ddp(net, group);
///     for (const auto& [x, y] : batches) {
///       optimizer.zero_grad();
///       loss(ddp(x), y).backward();
///       optimizer.step();
///     }
///     if (group.rank() == 0) save_tree("resume.pt", all);  // one process writes,
///     group.barrier();                                     // and the others wait for it
///
/// `torchrun --no-python --nproc-per-node 4 ./train` starts four of them. Built without the headers
/// of Gloo or with another LibTorch than 2.13, init_process_group() says so.
namespace convkit::parallel {

/// Options of init_process_group().
struct ProcessGroupOptions {
  /// How long a process waits for the others, in all that they do together.
  std::chrono::milliseconds timeout = std::chrono::minutes(30);
};

/// The processes that train together. Copies are the same group, which ends with the last of them.
class CONVKIT_API ProcessGroup {
 public:
  struct State;

  explicit ProcessGroup(std::shared_ptr<State> state) : state_(std::move(state)) {}

  [[nodiscard]] int64_t rank() const;        ///< this process's number, from 0
  [[nodiscard]] int64_t world_size() const;  ///< how many processes there are
  [[nodiscard]] int64_t local_rank() const;  ///< its number among those of this machine

  /// Waits until all processes are here.
  ///
  /// Throws:  c10::DistBackendError where one has ended, or does not come within the timeout
  /// Source:  torch.distributed.barrier
  void barrier() const;

  /// Writes the sum over all processes into the tensor of each.
  ///
  /// Throws:  c10::ValueError for a tensor that is not contiguous or not on the CPU;
  ///          c10::DistBackendError as barrier() does
  /// Source:  torch.distributed.all_reduce
  void all_reduce(const torch::Tensor& tensor) const;

  /// For the sources of this library.
  [[nodiscard]] const std::shared_ptr<State>& state() const { return state_; }

 private:
  std::shared_ptr<State> state_;
};

/// Joins the processes that torchrun has started: it finds them by MASTER_ADDR, MASTER_PORT, RANK,
/// WORLD_SIZE and LOCAL_RANK of the environment, and waits for all. Processes of Python and of C++
/// may not be of one group.
///
/// Throws:  c10::ValueError for a variable that is missing or out of range, and a timeout below 1 ms;
///          c10::DistBackendError where the others do not come within the timeout; c10::Error where
///          the library was built without Gloo
/// Source:  torch.distributed.init_process_group("gloo")
[[nodiscard]] CONVKIT_API ProcessGroup init_process_group(ProcessGroupOptions options = {});

/// Options of DistributedDataParallel.
struct DistributedDataParallelOptions {
  /// Gives all processes the buffers of the first one, as running statistics are, before each forward.
  bool broadcast_buffers = true;
  /// Looks for parameters that a forward has not used, which costs a walk through its graph; without
  /// it, such a parameter is an error in the next forward.
  bool find_unused_parameters = false;
};

namespace detail {

/// What a DistributedDataParallel does that does not depend on its module's type.
class CONVKIT_API Replica {
 public:
  Replica(torch::nn::Module& module, const ProcessGroup& group,
          DistributedDataParallelOptions options);
  ~Replica();
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  void before_forward();
  /// Takes what a forward has given, with gradients or without, and may put others in its place.
  void after_forward(const std::vector<torch::Tensor*>& outputs);

  bool reduces = true;  ///< whether backward reduces gradients

 private:
  struct State;

  std::unique_ptr<State> state_;
};

inline void collect(std::vector<torch::Tensor*>& tensors, torch::Tensor& value) {
  if (value.defined()) tensors.push_back(&value);
}
inline void collect(std::vector<torch::Tensor*>& tensors, std::vector<torch::Tensor>& values) {
  for (torch::Tensor& value : values) collect(tensors, value);
}
inline void collect(std::vector<torch::Tensor*>& tensors,
                    torch::OrderedDict<std::string, torch::Tensor>& values) {
  for (auto& item : values) collect(tensors, item.value());
}
template <typename... Values>
void collect(std::vector<torch::Tensor*>& tensors, std::tuple<Values...>& values) {
  std::apply([&](auto&... value) { (collect(tensors, value), ...); }, values);
}

/// Leaves gradients of this process alone for as long as it lives.
class NoSync {
 public:
  explicit NoSync(Replica& replica)
      : replica_(replica), before_(std::exchange(replica.reduces, false)) {}
  ~NoSync() { replica_.reduces = before_; }
  NoSync(const NoSync&) = delete;
  NoSync& operator=(const NoSync&) = delete;

 private:
  Replica& replica_;
  const bool before_;
};

}  // namespace detail

/// A module that several processes train as one: all begin with the weights of the first, and
/// `backward` gives each the mean of the gradients of all.
///
///     convkit::parallel::DistributedDataParallel ddp(net, group);
///     torch::cross_entropy_loss(ddp(x), y).backward();
///
/// The sums have the order of Python's: it lays gradients into buckets of 1 MiB and then 25 MiB, in
/// the order in which the first backward had them.
///
/// Shape:   that of the module, whose forward takes any arguments and gives a tensor, or tensors in a
///          std::vector, OrderedDict or std::tuple
/// Keys:    module.*, as in Python. A checkpoint of `state_dict(*ddp.module)` has the module's own.
/// Throws:  c10::ValueError for a module of which no parameter requires a gradient, or which is not on
///          the CPU; c10::Error, in every process, where the processes have other parameters;
///          c10::DistBackendError where another process has ended or does not come in time. A
///          `backward` throws LibTorch's own error there, a std::exception.
/// Source:  torch.nn.parallel.DistributedDataParallel
/// Differs: no static_graph, gradient_as_bucket_view, bucket_cap_mb, join() or hooks; gradients are not
///          sparse.
template <typename Holder>
class DistributedDataParallel : public torch::nn::Module {
 public:
  DistributedDataParallel(Holder wrapped, const ProcessGroup& group,
                          DistributedDataParallelOptions options = {})
      : torch::nn::Module("DistributedDataParallel"),
        module(register_module("module", std::move(wrapped))),
        replica_(*module, group, options) {}

  template <typename... Args>
  auto operator()(Args&&... args) {
    replica_.before_forward();
    auto result = module(std::forward<Args>(args)...);
    std::vector<torch::Tensor*> outputs;
    detail::collect(outputs, result);
    replica_.after_forward(outputs);
    return result;
  }

  /// As long as the result lives, `backward` adds to the gradients of this process alone: of several
  /// batches, only the last one's is outside of it, and reduces the sum of all.
  ///
  ///     {
  ///       const auto alone = ddp.no_sync();
  ///       loss(ddp(x0), y0).backward();
  ///     }
  ///     loss(ddp(x1), y1).backward();
  ///
  /// Source:  torch.nn.parallel.DistributedDataParallel.no_sync
  [[nodiscard]] detail::NoSync no_sync() { return detail::NoSync(replica_); }

  Holder module;

 private:
  detail::Replica replica_;
};

}  // namespace convkit::parallel

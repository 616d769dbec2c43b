#include <convkit/parallel.h>

#include "train/sync_batch_norm.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <set>
#include <string>

namespace convkit::parallel {

struct ProcessGroup::State {
  int rank;
  int world_size;
  int local_rank;
  std::chrono::milliseconds timeout;
  c10::intrusive_ptr<c10d::ProcessGroup> group = {};

  ~State() {
    if (group) --convkit::detail::process_groups;
  }
};

namespace {

// Python's broadcast_bucket_size.
constexpr std::size_t kBroadcastBytes = 250 * 1024 * 1024;
constexpr int kMost = std::numeric_limits<int>::max();

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  TORCH_CHECK_VALUE(value != nullptr && *value != '\0',
                    "init_process_group: expected the environment variable ", name,
                    ": start the program by `torchrun --no-python`");
  return value;
}

bool is_true(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && std::string(value) == "True";
}

int number(const char* name, int least, int most) {
  const std::string value = variable(name);
  int result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  TORCH_CHECK_VALUE(error == std::errc() && end == value.data() + value.size() && result >= least &&
                        result <= most,
                    "init_process_group: expected the environment variable ", name,
                    " to be a number from ", least, " to ", most, ", got '", value,
                    "': start the program by `torchrun --no-python`");
  return result;
}

/// Where the processes find each other.
struct Meeting {
  std::string address = variable("MASTER_ADDR");
  int port = number("MASTER_PORT", 1, 65535);
  // torchrun keeps the store itself, for all attempts.
  bool of_agent = is_true("TORCHELASTIC_USE_AGENT_STORE");
  int attempt = of_agent ? number("TORCHELASTIC_RESTART_COUNT", 0, kMost) : 0;

  c10::intrusive_ptr<c10d::Store> store(const ProcessGroup::State& state) const {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = state.rank == 0 && !of_agent;
    options.numWorkers = static_cast<std::size_t>(state.world_size);
    options.timeout = state.timeout;
    options.multiTenant = !of_agent;
    c10::intrusive_ptr<c10d::Store> result = c10::make_intrusive<c10d::TCPStore>(address, options);
    if (!of_agent) return result;
    return c10::make_intrusive<c10d::PrefixStore>("convkit/attempt_" + std::to_string(attempt),
                                                  result);
  }
};

/// "[.../pair.cc:553] Connection closed by peer. This is typically ..." -> "Connection closed by peer"
std::string sentence(std::string message) {
  if (message.starts_with('[')) message.erase(0, message.find("] ") + 2);
  return message.substr(0, std::min(message.find('\n'), message.find(". This ")));
}

/// Runs what needs the other processes; Gloo's exceptions are no c10::Errors, and say where in Gloo
/// they were thrown.
template <typename Run>
void together(const char* name, const ProcessGroup::State& state, const Run& run) {
  std::string reason;
  try {
    run();
    return;
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  TORCH_CHECK_WITH(DistBackendError, false, name, ": expected all ", state.world_size,
                   " processes within ", std::chrono::duration<double>(state.timeout).count(),
                   " s, got: ", sentence(reason));
}

/// The tensors that are defined, each once.
std::vector<torch::Tensor> distinct(const std::vector<torch::Tensor>& tensors) {
  std::vector<torch::Tensor> result;
  std::set<const void*> known;
  for (const torch::Tensor& tensor : tensors) {
    if (tensor.defined() && known.insert(tensor.unsafeGetTensorImpl()).second) {
      result.push_back(tensor);
    }
  }
  return result;
}

/// Lets outputs that the loss does not use have an undefined gradient: the reducer then sees that
/// their parameters are done.
struct Sink : torch::autograd::Function<Sink> {
  static std::vector<torch::Tensor> forward(torch::autograd::AutogradContext* context,
                                            torch::TensorList inputs) {
    context->set_materialize_grads(false);
    std::vector<torch::Tensor> outputs;
    for (const torch::Tensor& input : inputs) outputs.push_back(input.clone());
    return outputs;
  }
  static std::vector<torch::Tensor> backward(torch::autograd::AutogradContext*,
                                             std::vector<torch::Tensor> gradients) {
    return gradients;
  }
};

std::shared_ptr<c10d::Reducer> reducer_of(const std::vector<torch::Tensor>& parameters,
                                          const c10::intrusive_ptr<c10d::ProcessGroup>& group,
                                          bool find_unused_parameters) {
  // The first step has one bucket, since nothing is known of the order of the gradients; where some
  // may be unused, the buckets stay as they are.
  std::vector<std::size_t> limits = {std::numeric_limits<int64_t>::max()};
  if (find_unused_parameters)
    limits = {c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap};
  const std::vector<bool> sparse(parameters.size(), false);
  auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(parameters, limits, sparse));
  std::reverse(buckets.begin(), buckets.end());
  return std::make_shared<c10d::Reducer>(
      parameters, buckets, group, sparse, c10d::kDefaultBucketBytesCap, find_unused_parameters,
      /*gradient_as_bucket_view=*/false, std::unordered_map<std::size_t, std::string>(),
      c10d::kDefaultFirstBucketBytes, /*skip_all_reduce_unused_params=*/false,
      /*use_python_reducer=*/false, std::vector<int64_t>());
}

}  // namespace

int64_t ProcessGroup::rank() const {
  return state_->rank;
}

int64_t ProcessGroup::world_size() const {
  return state_->world_size;
}

int64_t ProcessGroup::local_rank() const {
  return state_->local_rank;
}

void ProcessGroup::barrier() const {
  together("barrier", *state_, [&] { state_->group->barrier()->wait(); });
}

void ProcessGroup::all_reduce(const torch::Tensor& tensor) const {
  TORCH_CHECK_VALUE(tensor.is_cpu() && tensor.is_contiguous(),
                    "all_reduce: expected a contiguous tensor on the CPU, got one on ",
                    tensor.device(), " of strides ", tensor.strides(), ": call .contiguous()");
  std::vector<torch::Tensor> tensors = {tensor.detach()};
  together("all_reduce", *state_, [&] { state_->group->allreduce(tensors)->wait(); });
}

ProcessGroup init_process_group(ProcessGroupOptions options) {
  TORCH_CHECK_VALUE(options.timeout.count() >= 1,
                    "init_process_group: expected a timeout >= 1 ms, got ",
                    options.timeout.count());
  const int world_size = number("WORLD_SIZE", 1, kMost);
  const auto state = std::make_shared<ProcessGroup::State>(
      ProcessGroup::State{.rank = number("RANK", 0, world_size - 1),
                          .world_size = world_size,
                          .local_rank = number("LOCAL_RANK", 0, world_size - 1),
                          .timeout = options.timeout});
  const Meeting meeting;
  together("init_process_group", *state, [&] {
    const auto store = meeting.store(*state);
    state->group = c10::make_intrusive<c10d::ProcessGroup>(store, state->rank, world_size);
    ++convkit::detail::process_groups;
    const auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        store, state->rank, world_size,
        c10d::ProcessGroupGloo::Options::create_default(options.timeout));
    state->group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
    state->group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
  });
  return ProcessGroup(state);
}

namespace detail {

struct Replica::State {
  torch::nn::Module& module;
  std::shared_ptr<ProcessGroup::State> group;
  DistributedDataParallelOptions options;
  std::shared_ptr<c10d::Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;  // which the reducer uses unasked
  bool sends_buffers = true;             // not after a forward whose gradients are not reduced

  void check_finished() const {
    try {
      reducer->check_finalized();
    } catch (const c10::Error&) {
      TORCH_CHECK(false,
                  "DistributedDataParallel: expected the last backward to give every parameter ",
                  "of ", module.name(), " a gradient: pass {.find_unused_parameters = true}");
    }
  }

  void broadcast(const std::vector<torch::Tensor>& tensors) const {
    if (tensors.empty()) return;
    const torch::NoGradGuard no_grad;
    together("DistributedDataParallel", *group, [&] {
      c10d::broadcast_coalesced(group->group, tensors, kBroadcastBytes, /*rank=*/0);
    });
  }
};

Replica::Replica(torch::nn::Module& module, const ProcessGroup& group,
                 DistributedDataParallelOptions options)
    : state_(new State{module, group.state(), options, nullptr, nullptr}) {
  std::vector<torch::Tensor> all = distinct(module.parameters());
  std::vector<torch::Tensor> trained;
  for (const torch::Tensor& parameter : all) {
    TORCH_CHECK_VALUE(parameter.is_cpu(),
                      "DistributedDataParallel: expected parameters on the CPU, got one on ",
                      parameter.device());
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  TORCH_CHECK_VALUE(!trained.empty(),
                    "DistributedDataParallel: expected a module with a parameter that requires a "
                    "gradient, got ",
                    module.name());
  const auto& processes = state_->group->group;
  c10d::verify_params_across_processes(processes, trained, std::nullopt);
  for (torch::Tensor& parameter : all) parameter = parameter.detach();
  if (options.broadcast_buffers) {
    for (const torch::Tensor& buffer : distinct(module.buffers())) all.push_back(buffer.detach());
  }
  state_->broadcast(all);
  state_->reducer = reducer_of(trained, processes, options.find_unused_parameters);
  state_->logger = std::make_shared<c10d::Logger>(state_->reducer);
  state_->reducer->set_logger(state_->logger);
}

Replica::~Replica() = default;

void Replica::before_forward() {
  if (torch::GradMode::is_enabled()) {
    state_->check_finished();
    if (reduces) state_->reducer->prepare_for_forward();
    together("DistributedDataParallel", *state_->group,
             [&] { state_->reducer->rebuild_buckets(); });
  }
  if (!state_->sends_buffers || !state_->options.broadcast_buffers) return;
  // A graph of an earlier forward may have saved a buffer: what it sees is not changed.
  const std::vector<torch::Tensor> buffers = distinct(state_->module.buffers());
  std::vector<uint32_t> versions;
  for (const torch::Tensor& buffer : buffers) versions.push_back(buffer._version());
  state_->broadcast(buffers);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    c10::VariableVersion counter = torch::autograd::impl::version_counter(buffers[i]);
    counter.set_version(versions[i]);
  }
}

void Replica::after_forward(const std::vector<torch::Tensor*>& outputs) {
  const bool find_unused = state_->options.find_unused_parameters;
  state_->sends_buffers = torch::GradMode::is_enabled() && reduces;
  if (state_->sends_buffers) {
    std::vector<torch::Tensor> found;
    if (find_unused) {
      for (const torch::Tensor* output : outputs) found.push_back(*output);
    }
    state_->reducer->prepare_for_backward(found);
  }
  if (!find_unused) return;
  std::vector<torch::Tensor*> places;
  std::vector<torch::Tensor> inputs;
  for (torch::Tensor* output : outputs) {
    if (output->grad_fn() == nullptr) continue;
    places.push_back(output);
    inputs.push_back(*output);
  }
  if (inputs.empty()) return;
  const std::vector<torch::Tensor> results = Sink::apply(torch::TensorList(inputs));
  for (std::size_t i = 0; i < places.size(); ++i) *places[i] = results[i];
}

}  // namespace detail
}  // namespace convkit::parallel

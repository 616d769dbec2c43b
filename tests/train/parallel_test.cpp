#include <convkit/averaging.h>
#include <convkit/blocks.h>
#include <convkit/parallel.h>
#include <convkit/sync_batch_norm.h>

#include "support.h"

#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

using namespace convkit;
using namespace convkit::parallel;
using Catch::Matchers::StartsWith;

namespace {

using Variables = std::map<std::string, std::string>;

/// A port that nobody listens at.
int free_port() {
  const int handle = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  REQUIRE(bind(handle, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  close(handle);
  return ntohs(address.sin_port);
}

/// Sets what torchrun would, for one process; an empty value is none.
void set_environment(const Variables& changed = {}) {
  Variables all = {{"MASTER_ADDR", "127.0.0.1"},
                   {"MASTER_PORT", std::to_string(free_port())},
                   {"RANK", "0"},
                   {"WORLD_SIZE", "1"},
                   {"LOCAL_RANK", "0"},
                   {"TORCHELASTIC_USE_AGENT_STORE", ""}};
  for (const auto& [name, value] : changed) all[name] = value;
  for (const auto& [name, value] : all) setenv(name.c_str(), value.c_str(), 1);
}

std::string init_error(const Variables& changed, ProcessGroupOptions options = {}) {
  set_environment(changed);
  return support::error([&] { (void)init_process_group(options); });
}

/// A group of this process alone. Skips the test where there can be none.
ProcessGroup alone() {
  set_environment();
  std::optional<ProcessGroup> group;
  const std::string error = support::error([&] { group = init_process_group(); });
  if (error.starts_with("init_process_group: convkit was built without ")) SKIP(error);
  REQUIRE(group);
  return *group;
}

}  // namespace

TEST_CASE("What torchrun should have set is named where it is missing or wrong", "[parallel]") {
  (void)alone();
  const std::string fix = ": start the program by `torchrun --no-python`";
  const std::string expected = "init_process_group: expected the environment variable ";
  for (const char* name : {"MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK"}) {
    CHECK(init_error({{name, ""}}) == expected + name + fix);
  }
  CHECK(init_error({{"RANK", "1"}}) == expected + "RANK to be a number from 0 to 0, got '1'" + fix);
  CHECK(init_error({{"RANK", "-1"}}) ==
        expected + "RANK to be a number from 0 to 0, got '-1'" + fix);
  CHECK(init_error({{"WORLD_SIZE", "two"}}) ==
        expected + "WORLD_SIZE to be a number from 1 to 2147483647, got 'two'" + fix);
  CHECK(init_error({{"MASTER_PORT", "80x"}}) ==
        expected + "MASTER_PORT to be a number from 1 to 65535, got '80x'" + fix);
  CHECK(init_error({}, {.timeout = std::chrono::milliseconds(0)}) ==
        "init_process_group: expected a timeout >= 1 ms, got 0");
}

TEST_CASE("A process that finds no others says so after the timeout", "[parallel]") {
  (void)alone();
  const std::string expected = "init_process_group: expected all 2 processes within 0.5 s, got: ";
  const ProcessGroupOptions options = {.timeout = std::chrono::milliseconds(500)};
  CHECK_THAT(init_error({{"WORLD_SIZE", "2"}}, options), StartsWith(expected));
  CHECK_THAT(init_error({{"WORLD_SIZE", "2"}, {"RANK", "1"}}, options), StartsWith(expected));
}

TEST_CASE("A group of one process sums what it has", "[parallel]") {
  const ProcessGroup group = alone();
  CHECK(group.rank() == 0);
  CHECK(group.local_rank() == 0);
  CHECK(group.world_size() == 1);
  const torch::Tensor x = at::arange(6.0);
  group.all_reduce(x);
  group.barrier();
  CHECK(torch::equal(x, at::arange(6.0)));
  CHECK(
      support::error([&] { group.all_reduce(x.view({2, 3}).t()); }) ==
      "all_reduce: expected a contiguous tensor on the CPU, got one on cpu of strides [1, 3]: call "
      ".contiguous()");
}

TEST_CASE("A module of one process has the gradients that it has alone", "[parallel]") {
  const ProcessGroup group = alone();
  ConvBlock net(3, 8);
  auto copy = std::dynamic_pointer_cast<ConvBlockImpl>(net->clone());
  DistributedDataParallel ddp(net, group);
  const torch::Tensor x = at::randn({2, 3, 8, 8});
  const torch::Tensor y = ddp(x);
  CHECK(torch::equal(y, copy->forward(x)));
  y.square().sum().backward();
  copy->forward(x).square().sum().backward();
  for (std::size_t i = 0; i < net->parameters().size(); ++i) {
    CHECK(net->parameters()[i].grad().abs().max().item<double>() > 0);
    CHECK(torch::equal(net->parameters()[i].grad(), copy->parameters()[i].grad()));
  }
  CHECK(support::keys(ddp)[0] == "module.conv.weight");
  CHECK(support::keys(*ddp.module) == support::keys(*copy));
  ddp.eval();
  CHECK_FALSE(net->is_training());
}

TEST_CASE("A SyncBatchNorm is a batch norm that is not trained by several processes",
          "[parallel]") {
  const torch::Tensor x = at::randn({4, 8, 5, 5});
  torch::nn::BatchNorm2d plain(8);
  SyncBatchNorm norm(8);
  CHECK(support::keys(*norm) == support::keys(*plain));
  CHECK(torch::equal(norm(x), plain(x)));
  {
    const ProcessGroup group = alone();
    const torch::Tensor before = norm->running_mean.clone();
    DistributedDataParallel ddp(norm, group);
    CHECK(support::error([&] { ddp(x); }) ==
          "SyncBatchNorm: expected no training by several processes on CPUs: Python has it on GPUs "
          "alone");
    CHECK(torch::equal(norm->running_mean, before));
    ddp.eval();
    plain->eval();
    CHECK(torch::equal(ddp(x), plain(x)));
  }
  norm->train();
  plain->train();
  CHECK(torch::equal(norm(x), plain(x)));
  CHECK(torch::equal(norm->running_var, plain->running_var));
  const auto renew = [&](auto& module) {
    optim::update_bn(*module, [&] { module(x), module(2 * x); });
  };
  renew(norm);
  renew(plain);
  CHECK(norm->num_batches_tracked.item<int64_t>() == 2);
  CHECK(torch::equal(norm->running_mean, plain->running_mean));
  CHECK(torch::equal(norm->running_var, plain->running_var));
  CHECK(support::error([&] { norm(at::randn({4, 7})); }) ==
        "SyncBatchNorm: expected input [N, 8, ...], got [4, 7]");
}

TEST_CASE("A module that cannot be trained by several processes is refused", "[parallel]") {
  const ProcessGroup group = alone();
  ConvBlock net(3, 8);
  for (torch::Tensor& parameter : net->parameters()) parameter.set_requires_grad(false);
  CHECK(support::error([&] { DistributedDataParallel(net, group); }) ==
        "DistributedDataParallel: expected a module with a parameter that requires a gradient, got "
        "ConvBlock");
}

TEST_CASE("A parameter that a step has not used is an error of the next forward", "[parallel]") {
  const ProcessGroup group = alone();
  struct HalfImpl : torch::nn::Module {
    HalfImpl() : torch::nn::Module("Half") {
      used = register_module("used", torch::nn::Linear(4, 4));
      unused = register_module("unused", torch::nn::Linear(4, 4));
    }
    torch::Tensor forward(const torch::Tensor& x) { return used(x); }
    torch::nn::Linear used{nullptr}, unused{nullptr};
  };
  using Half = torch::nn::ModuleHolder<HalfImpl>;
  const Half net(std::make_shared<HalfImpl>());
  {
    DistributedDataParallel ddp(net, group);
    ddp(at::ones({2, 4})).sum().backward();
    CHECK(support::error([&] { ddp(at::ones({2, 4})); }) ==
          "DistributedDataParallel: expected the last backward to give every parameter of Half a "
          "gradient: pass {.find_unused_parameters = true}");
  }
  DistributedDataParallel ddp(net, group, {.find_unused_parameters = true});
  for (int step = 0; step < 3; ++step) ddp(at::ones({2, 4})).sum().backward();
  CHECK(net->used->weight.grad().abs().max().item<double>() > 0);
  CHECK_FALSE(net->unused->weight.grad().defined());
}

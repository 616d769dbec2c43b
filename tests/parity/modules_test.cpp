#include <convkit/convkit.h>

#include "parity/makers.h"

#include <ATen/Parallel.h>
#include <torch/optim/sgd.h>

#include <map>

namespace {

using namespace convkit;
using parity::Case;
using parity::check_alive;
using parity::check_equal;
using parity::Tensors;

c10::ScalarType dtype_of(const std::string& name) {
  if (name == "float64") return torch::kDouble;
  if (name == "bfloat16") return torch::kBFloat16;
  REQUIRE(name == "float32");
  return torch::kFloat;
}

void check_state(const std::string& what, const torch::nn::Module& module, const Case& given,
                 const char* key) {
  const StateDict ours = state_dict(module);
  const Tensors python = given.tensors(key);
  REQUIRE(ours.size() == python.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    check_equal(what + " " + ours[i].key(), ours[i].value(), python[i]);
  }
}

/// The input, in Python's memory format, which the file does not keep.
torch::Tensor input_of(const Case& given) {
  const torch::Tensor x = given.tensor("input");
  return given.flag("channels_last") ? x.contiguous(torch::MemoryFormat::ChannelsLast) : x;
}

void check_inference(torch::nn::Module& module, const Case& given) {
  const torch::NoGradGuard no_grad;
  module.eval();
  check_alive("eval output", given.tensor("eval_output"));
  check_equal("eval output", forward_child(module, input_of(given).clone()),
              given.tensor("eval_output"));
}

void check_training_step(torch::nn::Module& module, const Case& given) {
  module.train();
  torch::manual_seed(static_cast<uint64_t>(given.number("seed") + 1000));
  const torch::Tensor x = input_of(given).detach().requires_grad_();
  const torch::Tensor y = forward_child(module, x.clone());  // some write to their input
  check_alive("train output", given.tensor("train_output"));
  check_equal("train output", y, given.tensor("train_output"));

  y.backward(given.tensor("gradient"));
  check_alive("input gradient", given.tensor("input_gradient"));
  check_equal("input gradient", x.grad(), given.tensor("input_gradient"));
  const Tensors gradients = given.tensors("parameter_gradients");
  const auto parameters = module.named_parameters();
  REQUIRE(parameters.size() == gradients.size());
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    check_alive("gradient of " + parameters[i].key(), gradients[i]);
    check_equal("gradient of " + parameters[i].key(), parameters[i].value().grad(), gradients[i]);
  }
  check_state("after one training forward:", module, given, "trained_once");
}

void check_sgd(torch::nn::Module& module, const Case& given) {
  torch::manual_seed(static_cast<uint64_t>(given.number("seed") + 2000));
  torch::optim::SGD optimizer(module.parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  const torch::Tensor x = input_of(given);
  for (int step = 0; step < 5; ++step) {
    optimizer.zero_grad();
    (forward_child(module, x.clone()) * given.tensor("gradient")).mean().backward();
    optimizer.step();
  }
  check_state("after five steps of SGD:", module, given, "after_sgd");
}

void check_case(const Case& given) {
  torch::manual_seed(static_cast<uint64_t>(given.number("seed")));
  const auto module = parity::makers().at(given.text("module"))(given);
  REQUIRE(support::keys(*module) == given.texts("keys"));
  check_state("initial", *module, given, "initial");
  // tests/parity/back.py loads it into Python's class.
  save_checkpoint(
      parity::folder() / "back" / (std::to_string(given.number("seed")) + ".safetensors"),
      state_dict(*module));
  module->to(dtype_of(given.text("dtype")));
  StateDict state;
  const Tensors values = given.tensors("state");
  for (std::size_t i = 0; i < values.size(); ++i) state.insert(given.texts("keys")[i], values[i]);
  load_state_dict(*module, state);
  check_inference(*module, given);
  check_training_step(*module, given);
  // In bfloat16 LibTorch's optimizer rounds the momentum itself to bfloat16, unlike Python's.
  if (given.has("after_sgd") && given.text("dtype") != "bfloat16") check_sgd(*module, given);
}

}  // namespace

TEST_CASE("every module is equal to Python's, bit for bit", "[parity]") {
  const auto cases = parity::read("cases");
  CHECK(cases.size() >= 900);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // as the generator's: another number of threads splits sums differently
  std::map<std::string, int> counts;
  for (const Case& given : cases) {
    INFO(given.text("name"));
    const std::string error = support::error([&] { check_case(given); });
    CHECK(error == "no error");
    ++counts[given.text("module")];
  }
  at::set_num_threads(threads);
  CHECK(counts.size() == parity::makers().size());
}

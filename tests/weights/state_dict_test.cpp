#include <convkit/convkit.h>
#include <convkit/state_dict.h>

#include "parity/reference.h"

#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/rnn.h>
#include <torch/nn/modules/transformerlayer.h>
#include <torch/optim/sgd.h>

#include <map>

using namespace convkit;
namespace nn = torch::nn;

namespace {

Sequential make_net() {
  return Sequential{ConvBlock(3, 4), Sequential{SeparableConv2d(4, 6), nn::ReLU()}};
}

/// Every tensor of a module, in order, copied.
std::vector<torch::Tensor> copies(const nn::Module& module) {
  std::vector<torch::Tensor> result;
  for (const auto& entry : state_dict(module)) result.push_back(entry.value().clone());
  return result;
}

bool all_equal(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return torch::equal(x, y); });
}

/// A user's module with two results, whose keys were others before, and one of whose buffers is in
/// no state_dict.
struct RenamedImpl : Cloneable<RenamedImpl> {
  RenamedImpl() { RenamedImpl::reset(); }
  void reset() override {
    weight = register_parameter("weight", torch::ones({3}));
    mask = register_non_persistent_buffer("mask", torch::ones({3}));
    norm = register_module("norm", FrozenBatchNorm2d(3));
  }
  std::vector<torch::Tensor> forward(const torch::Tensor& x) { return {norm(x), x * mask}; }
  std::string current_key(const std::string& key) const override {
    if (key == "gamma" || key == "g") return "weight";
    if (key == "steps") return "";
    return key.starts_with("bn.") ? "norm." + key.substr(3) : key;
  }
  torch::Tensor weight;
  torch::Tensor mask;
  FrozenBatchNorm2d norm{nullptr};
};
CONVKIT_MODULE(Renamed);

/// A user's module that derives from nothing else of convkit.
struct PlainImpl : nn::Module, StateKeys {
  PlainImpl() {
    register_module("left", left);
    register_module("right", right);
    register_buffer("cache", torch::ones({1}));
    non_persistent_buffers_.insert("cache");
  }
  std::string current_key(const std::string& key) const override {
    return key.starts_with("first.") ? "left." + key.substr(6) : key;
  }
  Renamed left;
  Renamed right;
};

/// What Python's load_state_dict() does not expect: each module looks at every key.
void find_unexpected(const nn::Module& module, const StateDict& state, const std::string& prefix,
                     std::vector<std::string>& unexpected) {
  const StateDict own = state_dict(module);
  const auto children = module.named_children();
  for (const std::string& key : state.keys()) {
    if (!key.starts_with(prefix)) continue;
    const std::string rest = key.substr(prefix.size());
    const std::size_t dot = rest.find('.');
    const bool known =
        dot == std::string::npos ? own.contains(rest) : children.contains(rest.substr(0, dot));
    if (!known) unexpected.push_back(key);
  }
  for (const auto& child : children) {
    find_unexpected(*child.value(), state, prefix + child.key() + ".", unexpected);
  }
}

std::map<std::string, std::shared_ptr<nn::Module>> torch_modules() {
  using torch::nn::BatchNorm2dOptions;
  using torch::nn::InstanceNorm2dOptions;
  return {
      {"Conv1d", nn::Conv1d(nn::Conv1dOptions(4, 6, 3)).ptr()},
      {"Conv2d without bias", nn::Conv2d(nn::Conv2dOptions(4, 6, 3).bias(false)).ptr()},
      {"Conv3d", nn::Conv3d(nn::Conv3dOptions(4, 6, 3)).ptr()},
      {"ConvTranspose2d", nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 6, 3)).ptr()},
      {"BatchNorm1d", nn::BatchNorm1d(4).ptr()},
      {"BatchNorm2d", nn::BatchNorm2d(4).ptr()},
      {"BatchNorm2d, not affine", nn::BatchNorm2d(BatchNorm2dOptions(4).affine(false)).ptr()},
      {"BatchNorm2d, no statistics",
       nn::BatchNorm2d(BatchNorm2dOptions(4).track_running_stats(false)).ptr()},
      {"InstanceNorm2d", nn::InstanceNorm2d(4).ptr()},
      {"InstanceNorm2d, everything",
       nn::InstanceNorm2d(InstanceNorm2dOptions(4).affine(true).track_running_stats(true)).ptr()},
      {"GroupNorm", nn::GroupNorm(2, 4).ptr()},
      {"LayerNorm", nn::LayerNorm(nn::LayerNormOptions({4})).ptr()},
      {"Linear", nn::Linear(4, 6).ptr()},
      {"Bilinear", nn::Bilinear(4, 5, 6).ptr()},
      {"Embedding", nn::Embedding(4, 6).ptr()},
      {"PReLU", nn::PReLU(nn::PReLUOptions().num_parameters(4)).ptr()},
      {"LSTM", nn::LSTM(nn::LSTMOptions(4, 6).num_layers(2).bidirectional(true)).ptr()},
      {"GRU", nn::GRU(4, 6).ptr()},
      {"MultiheadAttention", nn::MultiheadAttention(4, 2).ptr()},
      {"TransformerEncoderLayer", nn::TransformerEncoderLayer(4, 2).ptr()},
  };
}

}  // namespace

TEST_CASE("state_dict() gives Python's keys in Python's order, for torch::nn's modules too",
          "[state_dict][parity]") {
  const auto modules = torch_modules();
  const auto cases = parity::read("keys");
  CHECK(cases.size() == modules.size());
  for (const parity::Case& given : cases) {
    INFO(given.text("name"));
    CHECK(state_dict(*modules.at(given.text("name"))).keys() == given.texts("keys"));
  }
}

TEST_CASE("load_state_dict() does and says what Python's does", "[state_dict][parity]") {
  const auto cases = parity::read("loads");
  CHECK(cases.size() == 15);
  int refused = 0;
  for (const parity::Case& given : cases) {
    INFO(given.text("name"));
    StateDict state;
    const auto keys = given.texts("keys");
    const auto tensors = given.tensors("tensors");
    for (std::size_t i = 0; i < keys.size(); ++i) state.insert(keys[i], tensors[i]);

    torch::manual_seed(12);
    Sequential net = make_net();
    const auto before = copies(*net);
    LoadStateDictResult result;
    std::string error = support::error(
        [&] { result = load_state_dict(*net, state, {.strict = given.flag("strict")}); });
    if (given.text("error").empty()) {
      CHECK(error == "no error");
      CHECK(result.missing_keys == given.texts("missing"));
      CHECK(result.unexpected_keys == given.texts("unexpected"));
      CHECK(all_equal(copies(*net), given.tensors("after")));
      CHECK_FALSE(all_equal(copies(*net), before));
    } else {
      // Ours adds a hint where all keys have a prefix.
      CHECK(error.substr(0, error.find("\n\tAll keys")) == given.text("error"));
      CHECK(all_equal(copies(*net), before));
      ++refused;
    }
  }
  CHECK(refused == 9);
}

TEST_CASE("load_state_dict() copies into the module's tensors, so that optimizers stay valid",
          "[state_dict]") {
  Sequential net = make_net();
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1));
  const torch::Tensor weight = net->parameters()[0];
  const Sequential other = make_net();
  load_state_dict(*net, state_dict(*other));
  CHECK(weight.is_same(net->parameters()[0]));
  CHECK(torch::equal(weight, other->parameters()[0]));
  CHECK_FALSE(weight.is_alias_of(other->parameters()[0]));
  CHECK(weight.requires_grad());

  net(torch::randn({1, 3, 5, 5})).sum().backward();
  optimizer.step();
  CHECK_FALSE(torch::equal(weight, other->parameters()[0]));
}

TEST_CASE("with .assign the module takes the tensors as they are", "[state_dict]") {
  Sequential net = make_net();
  Sequential other = make_net();
  other->to(torch::kDouble);
  const torch::Tensor weight = net->parameters()[0];
  load_state_dict(*net, state_dict(*other), {.assign = true});
  CHECK(weight.scalar_type() == torch::kDouble);
  CHECK(weight.is_same(net->parameters()[0]));
  CHECK(weight.is_alias_of(other->parameters()[0]));
  CHECK(weight.requires_grad());
}

TEST_CASE(".prefix and .rename meet other names", "[state_dict]") {
  Sequential net = make_net();
  const Sequential other = make_net();
  StateDict state;
  for (const auto& entry : state_dict(*other)) {
    state.insert("ema.module." + entry.key(), entry.value());
  }
  state.insert("epoch", torch::tensor(3));
  CHECK_THAT(
      support::error([&] { load_state_dict(*net, state); }),
      Catch::Matchers::EndsWith(
          "\n\tAll keys of the module are in the state_dict, beginning with \"ema.module.\": "
          "load it with {.prefix = \"ema.module.\"}."));
  load_state_dict(*net, state, {.prefix = "ema.module."});
  CHECK(all_equal(copies(*net), copies(*other)));

  Sequential renamed = make_net();
  const auto strip = [](const std::string& key) {
    return key.starts_with("ema.module.") ? key.substr(11) : "";
  };
  load_state_dict(*renamed, state, {.rename = strip});
  CHECK(all_equal(copies(*renamed), copies(*other)));
  const auto same = [](const std::string&) { return std::string("x"); };
  CHECK_THAT(support::error([&] { load_state_dict(*net, state, {.rename = same}); }),
             Catch::Matchers::EndsWith("and another key are both renamed to \"x\""));

  CHECK_THAT(support::error([&] { load_state_dict(*net, state_dict(*(*other)[0])); }),
             Catch::Matchers::EndsWith(
                 "\n\tAll keys of the state_dict are in the module, beginning with \"0.\": load it "
                 "into that child."));
}

TEST_CASE("with .skip_mismatched a new head keeps its weights", "[state_dict]") {
  Sequential net{ConvBlock(3, 4), SeparableConv2d(4, 10)};
  const Sequential other{ConvBlock(3, 4), SeparableConv2d(4, 6)};
  const torch::Tensor head = state_dict(*net)["1.pointwise.weight"].clone();
  const auto result = load_state_dict(*net, state_dict(*other), {.skip_mismatched = true});
  CHECK(result.skipped_keys == std::vector<std::string>{"1.pointwise.weight", "1.pointwise.bias"});
  CHECK(torch::equal(state_dict(*net)["1.pointwise.weight"], head));
  CHECK(torch::equal(state_dict(*net)["0.conv.weight"], state_dict(*other)["0.conv.weight"]));
}

TEST_CASE("state_dict() leaves out non-persistent buffers and shares the module's tensors",
          "[state_dict]") {
  Sequential net{BlurPool2d(), ConvBlock(3, 4)};
  const StateDict state = state_dict(*net);
  CHECK(state.keys().front() == "1.conv.weight");
  CHECK_FALSE(state["1.conv.weight"].requires_grad());
  state["1.conv.weight"].zero_();
  CHECK(net->parameters()[0].abs().max().item<float>() == 0);
  CHECK(with_prefix_removed(state, "1.bn.").keys() ==
        std::vector<std::string>{"weight", "bias", "running_mean", "running_var",
                                 "num_batches_tracked"});
}

TEST_CASE("after any error the module is as it was", "[state_dict][errors]") {
  nn::Linear linear(4, 2);
  const auto before = copies(*linear);
  const auto error = [&](const torch::Tensor& bias, const LoadStateDictOptions& options = {}) {
    return support::error([&] {
      load_state_dict(*linear, StateDict({{"weight", torch::ones({2, 4})}, {"bias", bias}}),
                      options);
    });
  };
  CHECK(error(torch::empty({2}, c10::ScalarType::Float4_e2m1fn_x2)) ==
        "load_state_dict: expected a type that torch converts into Float under \"bias\", got "
        "Float4_e2m1fn_x2");
  CHECK(error(torch::ones({2}).to_sparse()) ==
        "load_state_dict: expected a dense tensor with numbers under \"bias\", got "
        "SparseCPUFloatType");
  CHECK(error(torch::empty({2}, torch::kMeta)) ==
        "load_state_dict: expected a dense tensor with numbers under \"bias\", got "
        "MetaFloatType");
  CHECK(error(torch::ones({2}, torch::kLong), {.assign = true}) ==
        "load_state_dict: expected a floating point or complex tensor for the parameter \"bias\", "
        "which requires gradients, got Long");
  CHECK(all_equal(copies(*linear), before));
}

TEST_CASE("an entry without a name is unexpected, as in Python", "[state_dict]") {
  nn::Linear linear(4, 2);
  StateDict state = state_dict(*nn::Linear(4, 2));
  state.insert("", torch::ones({1}));
  CHECK_THAT(support::error([&] { load_state_dict(*linear, state); }),
             Catch::Matchers::ContainsSubstring("Unexpected key(s) in state_dict: \"\". "));
}

TEST_CASE(".rename may swap a module's own tensors", "[state_dict]") {
  Sequential net{nn::Linear(2, 2), nn::Linear(2, 2)};
  const auto before = copies(*net);
  load_state_dict(*net, state_dict(*net), {.rename = [](const std::string& key) {
    return (key[0] == '0' ? "1" : "0") + key.substr(1);
  }});
  const auto after = copies(*net);
  CHECK(torch::equal(after[0], before[2]));
  CHECK(torch::equal(after[2], before[0]));
  CHECK_FALSE(torch::equal(after[0], before[0]));
}

TEST_CASE("a user's module says which keys are old, and which buffers are not kept",
          "[state_dict]") {
  const auto net = std::make_shared<PlainImpl>();
  CHECK(support::keys(*net) ==
        std::vector<std::string>{"left.weight", "left.norm.weight", "left.norm.bias",
                                 "left.norm.running_mean", "left.norm.running_var", "right.weight",
                                 "right.norm.weight", "right.norm.bias", "right.norm.running_mean",
                                 "right.norm.running_var"});
  StateDict state;
  const auto add = [&](const std::string& key, int64_t number) {
    state.insert(key, torch::full({3}, number, torch::kFloat));
  };
  add("first.gamma", 2);  // three names deep: the root's, then left's, then its norm's
  add("first.steps", 0);
  add("first.bn.weight", 3);
  add("first.bn.num_batches_tracked", 0);
  for (const char* name : {"bias", "running_mean", "running_var"}) {
    add(std::string("left.norm.") + name, 4);
    add(std::string("right.bn.") + name, 5);
  }
  add("right.norm.weight", 6);
  add("right.weight", 7);
  CHECK(load_state_dict(*net, state).missing_keys.empty());
  CHECK(net->left->weight[0].item<float>() == 2);
  CHECK(net->left->norm->weight[0].item<float>() == 3);
  CHECK(net->left->norm->bias[0].item<float>() == 4);
  CHECK(net->right->norm->bias[0].item<float>() == 5);
  CHECK(net->right->norm->weight[0].item<float>() == 6);
  CHECK(net->right->weight[0].item<float>() == 7);

  // An old name where the current one, or another old one, is there too is as any other.
  add("right.gamma", 0);
  add("left.g", 0);
  const auto result = load_state_dict(*net, state, {.strict = false});
  CHECK(result.unexpected_keys == std::vector<std::string>{"left.g", "right.gamma"});
  CHECK(net->left->weight[0].item<float>() == 2);
  CHECK(net->right->weight[0].item<float>() == 7);
}

TEST_CASE("unexpected keys come in the order in which Python's modules meet them", "[state_dict]") {
  Sequential net = make_net();
  const std::vector<std::string> names = {"0",      "1", "00",        "",  "conv", "bias",     "bn",
                                          "weight", "2", "depthwise", "x", "relu", "pointwise"};
  torch::manual_seed(5);
  std::size_t found = 0;
  for (int round = 0; round < 50; ++round) {
    StateDict state;
    for (int i = 0; i < 60; ++i) {
      std::string key = names[torch::randint(13, {1}).item<int64_t>()];
      for (auto more = torch::randint(4, {1}).item<int64_t>(); more > 0; --more) {
        key += "." + names[torch::randint(13, {1}).item<int64_t>()];
      }
      // Of a shape that fits nothing.
      if (!state.contains(key)) state.insert(key, torch::ones({5, 5, 5}));
    }
    std::vector<std::string> expected;
    find_unexpected(*net, state, "", expected);
    const auto result = load_state_dict(*net, state, {.strict = false, .skip_mismatched = true});
    CHECK(result.unexpected_keys == expected);
    CHECK(result.skipped_keys.size() + expected.size() == state.size());
    found += result.skipped_keys.size();
  }
  CHECK(found > 0);
}

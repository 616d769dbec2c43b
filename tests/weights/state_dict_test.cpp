#include <convkit/convkit.h>
#include <convkit/state_dict.h>

#include "parity/reference.h"

#include <c10/core/InferenceMode.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/instancenorm.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/rnn.h>
#include <torch/nn/modules/transformerlayer.h>
#include <torch/optim/sgd.h>

#include <filesystem>
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
  for (const char* prefix : {"ema.module", "ema.", "model.ema.module."}) {  // nearly right
    CAPTURE(prefix);
    CHECK_THAT(support::error([&] { load_state_dict(*net, state, {.prefix = prefix}); }),
               Catch::Matchers::EndsWith("load it with {.prefix = \"ema.module.\"}."));
  }
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
  CHECK_THAT(
      support::error([&] { load_state_dict(*net, state_dict(*other)); }),
      Catch::Matchers::EndsWith("\n\tAll keys are there: with {.skip_mismatched = true} those "
                                "of another shape keep the module's values."));
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

TEST_CASE("tensors that cannot be written to are refused before anything is changed",
          "[state_dict][errors]") {
  nn::Linear linear(4, 2);
  const auto weight = linear->weight.detach().clone();
  const StateDict state({{"weight", torch::ones({2, 4})}, {"bias", torch::tensor({2.0F, 3.0F})}});
  const auto error = [&](const torch::Tensor& bias, const LoadStateDictOptions& options = {}) {
    linear->bias.set_data(bias);
    return support::error([&] { load_state_dict(*linear, state, options); });
  };
  CHECK(
      error(torch::ones({1}).expand({2})) ==
      "load_state_dict: expected memory of its own for each element of the module's \"bias\", got "
      "the sizes [2] with the strides [0]; register a clone of it");
  CHECK(torch::equal(linear->weight, weight));
  CHECK(error(torch::ones({1}).expand({2}), {.assign = true}) == "no error");
  CHECK(torch::equal(linear->bias, state["bias"]));

  // Windows overlap; a lattice that is woven into itself does not.
  nn::Module module;
  const torch::Tensor windows =
      module.register_buffer("w", torch::zeros({4}).as_strided({2, 3}, {1, 1}));
  const StateDict numbers({{"w", torch::arange(6.0F).view({2, 3})}});
  CHECK_THAT(support::error([&] { load_state_dict(module, numbers); }),
             Catch::Matchers::ContainsSubstring("the sizes [2, 3] with the strides [1, 1]"));
  CHECK(windows.eq(0).all().item<bool>());
  nn::Module woven;
  const torch::Tensor lattice =
      woven.register_buffer("w", torch::zeros({9}).as_strided({2, 3}, {3, 2}));
  load_state_dict(woven, numbers);
  CHECK(torch::equal(lattice, numbers["w"]));
}

TEST_CASE("a meta tensor is not loaded into", "[state_dict][errors]") {
  nn::Linear linear(4, 2);
  linear->register_buffer("table", torch::zeros({3}, torch::kMeta));
  StateDict state;
  for (const auto& entry : state_dict(*linear)) {
    state.insert(entry.key(), torch::ones(entry.value().sizes()));
  }
  const torch::Tensor before = linear->weight.detach().clone();
  for (const bool assign : {false, true}) {
    CHECK(support::error([&] { load_state_dict(*linear, state, {.assign = assign}); }) ==
          "load_state_dict: expected memory for the module's \"table\", got a meta tensor");
    CHECK(torch::equal(linear->weight, before));
  }
}

TEST_CASE("tensors of c10::InferenceMode are loaded as Python does, or refused",
          "[state_dict][errors]") {
  const StateDict state({{"weight", torch::ones({2, 4})}, {"bias", torch::ones({2})}});
  nn::Linear inference{nullptr};
  StateDict inference_state;
  nn::Linear linear(4, 2);
  {
    const c10::InferenceMode mode;
    inference = nn::Linear(4, 2);
    inference_state = StateDict({{"weight", torch::ones({2, 4})}, {"bias", torch::ones({2})}});
  }
  const auto before = copies(*inference);
  const auto error = [&](nn::Linear& module, const StateDict& given, bool assign) {
    return support::error([&] { load_state_dict(*module, given, {.assign = assign}); });
  };
  CHECK(error(inference, state, false) ==
        "load_state_dict: expected a tensor that can be written to as the module's \"weight\", got "
        "one that was made in c10::InferenceMode; load it there too");
  CHECK(error(inference, state, true) ==
        "load_state_dict: expected under \"weight\" an inference tensor, as the module has, got "
        "another; load it without .assign");
  CHECK(error(linear, inference_state, true) ==
        "load_state_dict: expected under \"weight\" no inference tensor, as the module has, got "
        "one; load it without .assign");
  CHECK(all_equal(copies(*inference), before));
  CHECK(error(linear, inference_state, false) == "no error");
  linear(torch::ones({1, 4})).sum().backward();
  CHECK(linear->weight.grad().defined());
  const c10::InferenceMode mode;
  CHECK(error(inference, state, false) == "no error");
  CHECK(all_equal(copies(*inference), copies(*linear)));
}

TEST_CASE("sources that lie in the module's memory are read before they are overwritten",
          "[state_dict]") {
  // Two weights in one buffer change places.
  const torch::Tensor buffer = torch::arange(12.0F);
  nn::Module module;
  const torch::Tensor a = module.register_buffer("a", buffer.narrow(0, 0, 6));
  const torch::Tensor b = module.register_buffer("b", buffer.narrow(0, 6, 6));
  const auto swap = [](const std::string& key) { return std::string(key == "a" ? "b" : "a"); };
  load_state_dict(module, state_dict(module), {.rename = swap});
  CHECK(torch::equal(a, torch::arange(6.0F, 12.0F)));
  CHECK(torch::equal(b, torch::arange(6.0F)));

  // Sources that lie across both, or hold the same numbers in another order.
  buffer.copy_(torch::arange(12.0F));
  load_state_dict(module, StateDict({{"a", buffer.narrow(0, 3, 6)}, {"b", b.flip(0)}}));
  CHECK(torch::equal(a, torch::arange(3.0F, 9.0F)));
  CHECK(torch::equal(b, torch::arange(6.0F, 12.0F).flip(0)));
  nn::Module square;
  const torch::Tensor matrix = square.register_buffer("m", torch::arange(9.0F).view({3, 3}));
  load_state_dict(square, StateDict({{"m", matrix.t()}}));
  CHECK(torch::equal(matrix, torch::arange(9.0F).view({3, 3}).t()));

  // The same memory under two storages, as of a library that has it.
  std::vector<float> memory = {0, 1, 2, 3};
  nn::Module foreign;
  const torch::Tensor c = foreign.register_buffer("c", torch::from_blob(memory.data(), {3}));
  load_state_dict(foreign, StateDict({{"c", torch::from_blob(memory.data() + 1, {3})}}));
  CHECK(torch::equal(c, torch::tensor({1.0F, 2.0F, 3.0F})));

  // With .assign the tensors themselves change places, and are not copied.
  nn::Module assigned;
  torch::Tensor x = assigned.register_buffer("a", torch::zeros({2}));
  torch::Tensor y = assigned.register_buffer("b", torch::ones({2}));
  const void* memory_of_x = x.data_ptr();
  load_state_dict(assigned, StateDict({{"a", y}, {"b", x}}), {.assign = true});
  CHECK(torch::equal(x, torch::ones({2})));
  CHECK(torch::equal(y, torch::zeros({2})));
  CHECK(y.data_ptr() == memory_of_x);
}

TEST_CASE("of two names of one tensor the last one is loaded, as in Python", "[state_dict]") {
  nn::Module module;
  const torch::Tensor a = module.register_buffer("a", torch::arange(4.0F));
  module.register_buffer("b", a.narrow(0, 0, 4));
  load_state_dict(module,
                  StateDict({{"b", torch::full({4}, 2.0F)}, {"a", torch::full({4}, 1.0F)}}));
  CHECK(torch::equal(a, torch::full({4}, 2.0F)));
  // What is a tensor of the module itself is not written.
  load_state_dict(module, StateDict({{"a", torch::full({4}, 1.0F)}, {"b", a}}));
  CHECK(torch::equal(a, torch::full({4}, 1.0F)));
}

TEST_CASE("every function takes a module that no shared_ptr owns", "[state_dict]") {
  ConvBlockImpl block(ConvBlockOptions(3, 4));
  SequentialImpl chain{ConvBlock(3, 4), nn::ReLU()};
  nn::Conv2dImpl conv(nn::Conv2dOptions(3, 4, 3));
  const torch::Tensor x = torch::randn({1, 3, 6, 6});
  const auto path = (std::filesystem::temp_directory_path() / "convkit-stack.pt").string();
  for (nn::Module* module : std::vector<nn::Module*>{&block, &chain, &conv}) {
    INFO(module->name());
    const StateDict state = state_dict(*module);
    CHECK(load_state_dict(*module, state).missing_keys.empty());
    CHECK_THAT(support::error([&] { load_state_dict(*module, StateDict()); }),
               Catch::Matchers::ContainsSubstring("Missing key(s) in state_dict: "));
    CHECK(shared_tensors(state).empty());
    CHECK(parameter_count(*module) > 0);
    module->eval();
    const torch::Tensor y = forward_child(*module, x);
    CHECK(compare(*module, record(*module, x)));
    const ForwardFunction forward = [&](const std::vector<torch::Tensor>& inputs) {
      return std::vector<torch::Tensor>{forward_child(*module, inputs[0])};
    };
    CHECK(compare(*module, forward, record(*module, forward, {x})));
    CHECK(summarize(*module, x).rows.size() == module->modules(/*include_self=*/false).size() + 1);
    CHECK(summarize(*module, [&] { forward_child(*module, x); }).macs > 0);
    save_torchscript(*module, x, path);
    CHECK(load_checkpoint(path).state.keys() == state.keys());
    const auto fast = compile({std::shared_ptr<void>(), module}, x);
    CHECK(torch::allclose(fast(x), y, 1e-4, 1e-4));
    CHECK(explain(fast).plans.size() == 1);
  }
  std::filesystem::remove(path);
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

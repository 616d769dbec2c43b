// The ways to compute a convolution: each is right, fixed rules name one, and choices are given on.
#include "compile/engines/alternatives.h"

#include "compile/compile_support.h"
#include "compile/onednn/engine.h"

#include <convkit/compile.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace convkit::detail;
using convkit::Compiled;
using convkit::CompileOptions;
using support::contains;
using support::distance;
using support::plan_of;
using torch::randn;
using Tensor = torch::Tensor;
using Choices = std::map<std::string, std::string>;

/// A convolution.
struct Layer {
  std::string name;
  Sizes input;
  int64_t channels;  ///< of the output
  Sizes kernel;
  Sizes stride{1, 1};
  Sizes padding{0, 0};
  Sizes dilation{1, 1};
  int64_t groups = 1;
  bool transposed = false;
  Sizes output_padding{0, 0};
};

struct LayerModule : torch::nn::Module {
  explicit LayerModule(const Layer& from) : layer(from) {
    const int64_t in = layer.input[1];
    const int64_t out = layer.channels;
    const int64_t fan_in = in / layer.groups * layer.kernel[0] * layer.kernel[1];
    weight = register_parameter(
        "weight",
        (layer.transposed ? randn({in, out / layer.groups, layer.kernel[0], layer.kernel[1]})
                          : randn({out, in / layer.groups, layer.kernel[0], layer.kernel[1]})) /
            std::sqrt(static_cast<double>(fan_in)));
    bias = register_parameter("bias", randn({out}));
    eval();
  }

  /// With a second input, y, relu(conv(x) + y).
  Compiled::Tensors forward(const Compiled::Tensors& inputs) {
    const Tensor& x = inputs[0];
    const Tensor y = layer.transposed
                         ? at::conv_transpose2d(x, weight, bias, layer.stride, layer.padding,
                                                layer.output_padding, layer.groups, layer.dilation)
                         : at::conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation,
                                      layer.groups);
    return {inputs.size() == 1 ? y : at::relu(y + inputs[1])};
  }

  Layer layer;
  Tensor weight;
  Tensor bias;
};

std::vector<Layer> layers() {
  return {
      {"square", {2, 8, 9, 9}, 16, {3, 3}, {1, 1}, {1, 1}},
      {"tiles of odd sizes", {2, 20, 13, 18}, 37, {3, 3}, {1, 1}, {1, 1}},
      {"tiles without padding", {1, 33, 9, 6}, 16, {3, 3}},
      {"tiles in much padding", {1, 16, 5, 2}, 16, {3, 3}, {1, 1}, {4, 2}},
      {"tiles of 5x5", {2, 20, 13, 18}, 37, {5, 5}, {1, 1}, {2, 2}},
      {"tiles of 5x5 in much padding", {1, 16, 5, 2}, 16, {5, 5}, {1, 1}, {4, 3}},
      {"pointwise", {2, 16, 6, 5}, 3, {1, 1}},
      {"pointwise to one channel", {1, 16, 6, 5}, 1, {1, 1}},
      {"column", {2, 8, 60, 1}, 16, {9, 1}, {2, 1}, {4, 0}},
      {"row", {1, 4, 1, 50}, 8, {1, 16}, {1, 3}},
      {"narrow", {2, 16, 40, 3}, 8, {3, 3}, {1, 2}, {1, 1}},
      {"dilated", {1, 8, 30, 2}, 8, {3, 2}, {1, 1}, {12, 1}, {6, 1}},
      {"sees all of it", {3, 8, 2, 2}, 12, {3, 3}, {1, 1}, {1, 1}},
      {"as large as the kernel", {2, 6, 5, 4}, 10, {5, 4}},
      {"sees all, strided and dilated", {2, 4, 3, 3}, 8, {4, 4}, {2, 3}, {3, 3}, {2, 2}},
      {"one pixel", {2, 8, 1, 1}, 8, {3, 3}, {1, 1}, {1, 1}},
      {"depthwise column", {1, 16, 40, 1}, 16, {5, 1}, {1, 1}, {2, 0}, {1, 1}, 16},
      {"groups", {2, 12, 20, 4}, 24, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 4},
      {"few channels", {1, 1, 12, 14}, 2, {3, 3}, {1, 1}, {1, 1}},
      {"transposed", {2, 8, 20, 2}, 6, {4, 3}, {2, 1}, {1, 1}, {1, 1}, 1, true, {1, 0}},
      {"transposed column", {1, 8, 20, 1}, 6, {8, 1}, {4, 1}, {2, 0}, {1, 1}, 1, true},
      {"transposed pixel", {2, 16, 1, 1}, 8, {4, 4}, {1, 1}, {0, 0}, {1, 1}, 1, true},
      {"transposed groups", {1, 8, 7, 7}, 8, {4, 4}, {2, 2}, {1, 1}, {1, 1}, 4, true},
  };
}

Geometry geometry_of(LayerModule& module) {
  const Layer& layer = module.layer;
  Geometry result;
  result.transposed = layer.transposed;
  result.input = layer.input;
  result.output = module.forward({at::zeros(layer.input)})[0].sizes().vec();
  result.kernel = layer.kernel;
  result.stride = layer.stride;
  result.before = layer.padding;
  result.after = layer.padding;
  result.dilation = layer.dilation;
  result.groups = layer.groups;
  return result;
}

Compiled::Tensors inputs_of(LayerModule& module, bool residual) {
  Compiled::Tensors inputs{randn(module.layer.input)};
  if (residual) inputs.push_back(randn(geometry_of(module).output));
  return inputs;
}

Compiled compile_layer(const std::shared_ptr<LayerModule>& module, const Compiled::Tensors& inputs,
                       const CompileOptions& options) {
  return convkit::compile(
      module, [module](const Compiled::Tensors& given) { return module->forward(given); }, inputs,
      options);
}

/// How the only convolution of a plan is computed.
std::string how_of(const convkit::PlanExplanation& plan) {
  for (const auto& step : plan.steps) {
    if (step.what.starts_with("conv")) return step.by + " " + step.how;
  }
  return "no convolution";
}

std::string alternative_by_rule(const Layer& layer) {
  const auto module = std::make_shared<LayerModule>(layer);
  const auto plan = plan_of(compile_layer(module, inputs_of(*module, false), {.timing = false}));
  REQUIRE(plan.choices.size() == 1);
  CHECK(plan.choices.begin()->first == geometry_of(*module).key());
  return plan.choices.begin()->second;
}

}  // namespace

TEST_CASE("a key is the text of its geometry, and no other text is one", "[compile][choices]") {
  const torch::NoGradGuard no_grad;
  for (const Layer& layer : layers()) {
    LayerModule module(layer);
    const Geometry geometry = geometry_of(module);
    const auto read = Geometry::read(geometry.key());
    REQUIRE(read.has_value());
    CHECK(read->key() == geometry.key());
    CHECK(read->multiplications() == geometry.multiplications());
  }
  const std::string key = Geometry{false, {1, 3, 8, 8}, {1, 4, 6, 6}, {3, 3}}.key();
  CHECK(key ==
        "conv2d 1x3x8x8 to 1x4x6x6 kernel 3x3 stride 1x1 padding 0x0 0x0 dilation 1x1 groups 1");
  CHECK(Geometry::read(key).has_value());
  for (const std::string& other :
       {std::string(), std::string("conv2d"), key + " ", " " + key, key + "2x",
        "conv3d" + key.substr(6), key.substr(0, key.size() - 1),
        "conv2d 01" + key.substr(std::string("conv2d 1").size()),
        "conv2d 99999999999999999999" + key.substr(std::string("conv2d 1").size())}) {
    INFO(other);
    CHECK_FALSE(Geometry::read(other).has_value());
  }
}

TEST_CASE("each way to compute a convolution gives its numbers", "[compile][choices]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(1);  // or a bias may leave a ReLU nothing
  for (const Layer& layer : layers()) {
    for (const bool residual : {false, true}) {
      const auto module = std::make_shared<LayerModule>(layer);
      const Geometry geometry = geometry_of(*module);
      const Compiled::Tensors inputs = inputs_of(*module, residual);
      const Tensor expected = module->forward(inputs)[0];
      support::check_alive(expected);
      std::set<std::string> hows;
      for (const Alternative alternative : alternatives_of(geometry)) {
        const std::string name = name_of(alternative);
        INFO(layer.name << (residual ? " with a residual " : " ") << name);
        const Choices choices{{geometry.key(), name}};
        const Compiled fast = compile_layer(module, inputs, {.timing = false, .choices = choices});
        const auto plan = plan_of(fast);
        INFO(convkit::explain(fast));
        CHECK(plan.choices == choices);
        CHECK_FALSE(plan.fell_back);
        CHECK(distance(fast(inputs)[0], expected) <= 1e-5);
        const std::string how = how_of(plan);
        if (how.starts_with("LibTorch since oneDNN says")) continue;  // it has no kernel for it
        CHECK(how.starts_with("LibTorch") == (alternative == Alternative::kLibTorch));
        const bool marked =
            alternative == Alternative::kProduct || alternative == Alternative::kTurned;
        CHECK((!marked || how.ends_with(", " + name)));
        CHECK(contains(how, " winograd ") == (tile_of(alternative) > 0));
        if (alternative != Alternative::kBlocked) CHECK(hows.insert(how).second);
      }
      // oneDNN has no kernel for some, and on AVX2 none at all that adds to the result of several groups.
      INFO(layer.name << (residual ? " with a residual" : ""));
      CHECK(hows.size() >= (residual && layer.groups > 1 ? 1 : 2));
    }
  }
}

TEST_CASE("fixed rules turn columns, and multiply matrices", "[compile][choices]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  const auto rule = [](const std::string& name) {
    for (const Layer& layer : layers()) {
      if (layer.name == name) return alternative_by_rule(layer);
    }
    return std::string("no such layer");
  };
  CHECK(rule("square") == "channels_last");
  CHECK(rule("row") == "channels_last");
  CHECK(rule("column") == "turned");
  CHECK(rule("depthwise column") == "turned");
  CHECK(rule("transposed column") == "turned");
  CHECK(rule("narrow") == "turned");
  CHECK(rule("pointwise") == "channels_last");
  CHECK(rule("pointwise to one channel") == "product");
  CHECK(rule("sees all of it") == "product");
  CHECK(rule("as large as the kernel") == "product");
  CHECK(rule("one pixel") == "product");
  CHECK(rule("transposed pixel") == "product");
  CHECK(rule("transposed groups") == "blocked");
  // The layers of CREPE, and kernels of a transposed convolution for which oneDNN's sums are wrong.
  CHECK(alternative_by_rule({"", {1, 1, 252, 1}, 32, {128, 1}, {4, 1}}) == "turned");
  CHECK(alternative_by_rule({"", {1, 64, 95, 1}, 16, {64, 1}}) == "turned");
  CHECK(alternative_by_rule({"", {1, 3, 4, 4}, 3, {32, 32}, {16, 16}, {8, 8}, {1, 1}, 1, true}) ==
        "LibTorch");
}

TEST_CASE("turned columns follow one another without a copy", "[compile][choices]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  using torch::nn::Conv2dOptions;
  torch::nn::Sequential narrow(
      torch::nn::Conv2d(Conv2dOptions(16, 16, 3).padding(1)), torch::nn::ReLU(),
      torch::nn::Conv2d(Conv2dOptions(16, 16, 3).padding(1)), torch::nn::ReLU(),
      torch::nn::Conv2d(Conv2dOptions(16, 16, 3).padding(1)));
  narrow->eval();
  const Compiled fast = convkit::compile(narrow, randn({1, 16, 60, 3}), {.timing = false});
  const auto steps = plan_of(fast).steps;
  INFO(convkit::explain(fast));
  REQUIRE(steps.size() == 4);  // one copy, of the input
  for (std::size_t i = 1; i < steps.size(); ++i) CHECK(contains(steps[i].how, ", turned"));
}

TEST_CASE("without timing two plans are the same", "[compile][choices]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  for (const Layer& layer : layers()) {
    INFO(layer.name);
    const auto module = std::make_shared<LayerModule>(layer);
    const Compiled::Tensors inputs = inputs_of(*module, true);
    const Compiled one = compile_layer(module, inputs, {.timing = false});
    const Compiled other = compile_layer(module, inputs, {.timing = false});
    CHECK(plan_of(one).choices == plan_of(other).choices);
    CHECK(torch::equal(one(inputs)[0], other(inputs)[0]));
  }
}

TEST_CASE("choices go through JSON to another plan, which has the same bits",
          "[compile][choices]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  using torch::nn::Conv2dOptions;
  torch::nn::Sequential net(torch::nn::Conv2d(Conv2dOptions(1, 32, {64, 1}).stride({2, 1})),
                            torch::nn::ReLU(),
                            torch::nn::Conv2d(Conv2dOptions(32, 32, {16, 1}).padding({8, 0})),
                            torch::nn::ReLU(), torch::nn::Conv2d(Conv2dOptions(32, 2, 1)));
  net->eval();
  const Tensor x = randn({2, 1, 400, 1});
  const Compiled timed = convkit::compile(net, x);
  const auto json = nlohmann::json::parse(convkit::explain(timed).json());
  const auto choices = json.at("plans").at(0).at("choices").get<Choices>();
  CHECK(choices == plan_of(timed).choices);
  REQUIRE(choices.size() == 3);
  const Compiled same = convkit::compile(net, x, {.timing = false, .choices = choices});
  CHECK(plan_of(same).choices == choices);
  CHECK(torch::equal(same(x), timed(x)));

  // Another choice is another plan, so that what is given does count.
  Choices others = choices;
  for (auto& [key, name] : others) name = name == "blocked" ? "channels_last" : "blocked";
  const Compiled other = convkit::compile(net, x, {.timing = false, .choices = others});
  CHECK(plan_of(other).choices == others);
  CHECK(distance(other(x), timed(x)) <= 1e-5);

  // Those for another shape stay for it.
  const Tensor longer = randn({1, 1, 500, 1});
  CHECK(plan_of(convkit::compile(net, longer, {.timing = false, .choices = choices})).choices ==
        plan_of(convkit::compile(net, longer, {.timing = false})).choices);
}

TEST_CASE("choices that are none are refused", "[compile][choices]") {
  torch::nn::Conv2d net(torch::nn::Conv2dOptions(3, 4, 3));
  net->eval();
  const std::string key =
      "conv2d 1x3x8x8 to 1x4x6x6 kernel 3x3 stride 1x1 padding 0x0 0x0 dilation 1x1 groups 1";
  const auto refusal = [&](const Choices& choices) {
    return support::error(
        [&] { convkit::compile(net, randn({1, 3, 8, 8}), {.choices = choices}); });
  };
  CHECK(refusal({{"conv2d 3x3", "turned"}}) ==
        "compile: expected keys of choices as explain() gives them, such as \"" + key +
            "\", got \"conv2d 3x3\"");
  CHECK(refusal({{key, "fastest"}}) == "compile: expected choices[\"" + key +
                                           "\"] to be one of channels_last, blocked, turned, "
                                           "winograd 2x2, winograd 4x4, winograd 6x6, "
                                           "LibTorch, got \"fastest\"");
  CHECK(refusal({{key, "product"}}) == "compile: expected choices[\"" + key +
                                           "\"] to be one of channels_last, blocked, turned, "
                                           "winograd 2x2, winograd 4x4, winograd 6x6, "
                                           "LibTorch, got \"product\"");
  CHECK(refusal({{key, ""}}).ends_with("LibTorch, got \"\""));
  CHECK(refusal({{key, "turned"}}) == "no error");
  CHECK(support::error([&] {
          convkit::compile(net, randn({1, 3, 8, 8}),
                           {.winograd = false, .choices = {{key, "winograd 4x4"}}});
        }) == "compile: expected winograd = true for choices that have it, got false; \"" + key +
                  "\" is one of them");
}

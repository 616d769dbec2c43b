// What compile() promises: what it refuses, when it plans anew, that calls do not disturb each other.
#include <convkit/blocks.h>
#include <convkit/compile.h>
#include <convkit/models.h>
#include <convkit/ops.h>
#include <convkit/separable.h>
#include <convkit/state_dict.h>
#include <convkit/summary.h>

#include "compile/compile_support.h"

#include <torch/nn/modules.h>
#include <torch/optim/sgd.h>

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

namespace {

using namespace convkit;
using support::contains;
using support::distance;
using torch::randn;
using Tensor = torch::Tensor;

/// A module whose forward is given, with a convolution and a batch norm of its own.
struct GivenImpl : Block<GivenImpl> {
  using Body = std::function<Tensor(GivenImpl&, const Tensor&)>;
  explicit GivenImpl(Body given) : body(std::move(given)) { GivenImpl::reset(); }
  void reset() override {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 3, 3).padding(1)));
    bn = register_module("bn", torch::nn::BatchNorm2d(3));
    count = register_buffer("count", torch::zeros({3, 1, 1}));
  }
  Tensor forward(const Tensor& x) override { return body(*this, x); }

  Body body;
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  Tensor count;
  int64_t calls = 0;
  Tensor kept;
};
CONVKIT_MODULE(Given);

using M = GivenImpl;
using Notes = std::map<std::string, int64_t>;

bool is_by_onednn(const PlanExplanation& plan) {
  return plan.engine.starts_with("oneDNN");
}

struct Refusal {
  std::string words;  ///< part of the message
  M::Body body;
};

std::vector<Refusal> refusals() {
  return {
      {"the forward reads a value that depends on its input, by aten::item",
       [](M& m, const Tensor& x) { return m.conv(x) * x.sum().item<float>(); }},
      {"the forward reads a value that depends on its input, by aten::equal",
       [](M& m, const Tensor& x) { return torch::equal(x, m.conv(x)) ? x + 1 : x + 2; }},
      {"the size of aten::masked_select's result depends on the input's values",
       [](M&, const Tensor& x) { return x.masked_select(x > 0); }},
      {"the size of aten::nonzero's result depends on the input's values",
       [](M&, const Tensor& x) { return x.nonzero(); }},
      {"the size of convkit::nms's result depends on the input's values",
       [](M&, const Tensor& x) {
         const Tensor boxes = x.flatten(1).narrow(1, 0, 4);
         return boxes.index_select(0, nms(boxes, boxes.select(1, 0), 0.5));
       }},
      {"aten::randn is random", [](M&, const Tensor& x) { return x + randn(x.sizes()); }},
      {"aten::dropout is random", [](M&, const Tensor& x) { return torch::dropout(x, 0.5, true); }},
      {"aten::batch_norm runs in training mode",
       [](M& m, const Tensor& x) {
         return torch::batch_norm(x, m.bn->weight, m.bn->bias, m.bn->running_mean,
                                  m.bn->running_var, true, 0.1, 1e-5, false);
       }},
      {"aten::relu_ writes to the forward's input",
       [](M&, const Tensor& x) { return torch::relu_(const_cast<Tensor&>(x)); }},
      {"aten::add_ writes to count",
       [](M& m, const Tensor& x) {
         m.count.add_(1);
         return x + 1;
       }},
      {"the forward replaces a tensor's data (set_data)",
       [](M& m, const Tensor& x) {
         m.count.set_data(torch::ones({3, 1, 1}));
         return x + m.count;
       }},
      {"does something else on its second run",
       [](M& m, const Tensor& x) { return x * static_cast<double>(++m.calls); }},
      {"does something else on its second run",
       [](M& m, const Tensor& x) {
         if (!m.kept.defined()) m.kept = torch::ones({1}) * 3;
         return x * m.kept;
       }},
      {"does something else on its second run",
       [](M&, const Tensor& x) { return x * x.const_data_ptr<float>()[0]; }},
      {"the forward makes a tensor of another one's memory (from_blob)",
       [](M&, const Tensor& x) { return torch::from_blob(x.data_ptr(), x.sizes()) + 1; }},
      {"the forward makes a tensor of another one's memory (from_blob)",
       [](M&, const Tensor& x) { return torch::from_blob(x.data_ptr<float>() + 8, {3, 7}) + 1; }},
      {"past LibTorch's dispatcher",
       [](M&, const Tensor& x) {
         Tensor y = torch::zeros_like(x);
         std::thread([&] {
           const torch::NoGradGuard no_grad;
           y.add_(x);
         }).join();
         return y + 1;
       }},
  };
}

Given given(const M::Body& body) {
  torch::manual_seed(0);
  Given net(body);
  net->eval();
  return net;
}

Given plain_net() {
  Given net = given([](M& m, const Tensor& x) { return torch::relu(m.bn(m.conv(x))); });
  support::settle(*net);
  return net;
}

StateDict copied(const StateDict& state) {
  StateDict copy;
  for (const auto& entry : state) copy.insert(entry.key(), entry.value().clone());
  return copy;
}

int64_t resident_pages() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  file >> all >> resident;
  return resident;
}

}  // namespace

TEST_CASE("what cannot be recorded faithfully is refused by its name", "[compile][errors]") {
  at::set_num_threads(1);
  const Tensor x = randn({2, 3, 6, 5});
  for (const Refusal& refusal : refusals()) {
    INFO(refusal.words);
    Given net = given(refusal.body);
    const StateDict before = copied(state_dict(*net));
    const Tensor count = net->count;
    CHECK_THAT(support::error([&] { compile(net, x); }),
               Catch::Matchers::ContainsSubstring(refusal.words));
    for (const auto& entry : state_dict(*net)) {
      CHECK(torch::equal(entry.value(), before[entry.key()]));
    }
    CHECK(net->count.is_same(count));
  }
}

TEST_CASE("NaN that the module makes of the example stays", "[compile]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  Given net = plain_net();
  net->conv->weight[1][0][0][0] = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = randn({2, 3, 6, 5});
  const Compiled fast = compile(net, x, {.timing = false});
  REQUIRE(net(x).isnan().any().item<bool>());
  CHECK(torch::equal(fast(x).isnan(), net(x).isnan()));
  // oneDNN's kernels for AVX2 let it pass, those for AVX-512 do not.
  const PlanExplanation plan = support::plan_of(fast);
  if (plan.fell_back) CHECK(contains(plan.remarks.front(), "NaN"));
}

TEST_CASE("with fallback the plain module runs, and explain says why", "[compile]") {
  const Tensor x = randn({2, 3, 6, 5});
  Given net = given(refusals()[0].body);
  const Compiled fast = compile(net, x, {.fallback = true});
  const torch::NoGradGuard no_grad;
  CHECK(torch::equal(fast(x), net(x)));
  const PlanExplanation plan = support::plan_of(fast);
  CHECK(plan.engine == "the plain module");
  CHECK(plan.fell_back);
  CHECK(plan.remarks ==
        std::vector<std::string>{"compile: the forward reads a value that depends on its input, by "
                                 "aten::item"});
}

TEST_CASE("compile says what it expects", "[compile][errors]") {
  const Tensor x = randn({1, 3, 6, 5});
  const auto error = [&](const CompileOptions& options) {
    return support::error([&] { compile(plain_net(), x, options); });
  };
  CHECK(support::error([&] { compile(std::shared_ptr<torch::nn::Module>(), x); }) ==
        "compile: expected a module, got none");
  CHECK(support::error([&] { compile(plain_net(), Tensor()); }) ==
        "compile: expected a tensor, got an undefined one");
  CHECK(error({.dtype = torch::kDouble}) ==
        "compile: expected dtype to be Float, BFloat16 or, on CUDA, Half, got Double");
  CHECK(error({.dtype = torch::kHalf}) ==
        "compile: expected a module and inputs of Float on CUDA, to compute in Half");
  CHECK(error({.memory_format = torch::MemoryFormat::ChannelsLast3d}) ==
        "compile: expected memory_format to be Contiguous or ChannelsLast, got ChannelsLast3d");
  CHECK(error({.tf32 = true}) ==
        "compile: expected tf32 for inputs on CUDA alone, got inputs on cpu");
  CHECK(error({.max_plans = 0}) == "compile: expected max_plans >= 1, got 0");

  Given net = plain_net();
  net->train();
  CHECK(support::error([&] { compile(net, x); }) ==
        "compile: expected a module in eval mode, got one in training mode: call eval() first");
  net->eval();
  const Compiled fast = compile(net, x);
  net->bn->train();
  CHECK(support::error([&] { fast(x); }) ==
        "compile: expected a module in eval mode, got bn in training mode: call eval() first");
  net->eval();
  CHECK(support::error([&] { fast(Compiled::Tensors{x, x}); }) ==
        "compile: expected 1 input, got 2");
  CHECK(support::error([&] { fast(Tensor()); }) ==
        "compile: expected a tensor, got an undefined one");
  CHECK_THAT(support::error([&] { fast(randn({1, 4, 6, 5})); }),
             Catch::Matchers::ContainsSubstring("expected input[1, 4, 6, 5] to have 3 channels"));
  CHECK(fast(x).defined());  // as if nothing had happened

  at::autocast::set_autocast_enabled(at::kCPU, true);
  const std::string autocast = support::error([&] { compile(net, x); });
  const std::string planned = support::error([&] { fast(x); });
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(contains(autocast, "autocast is enabled"));
  CHECK(contains(planned, "autocast is enabled"));
}

TEST_CASE("fallback writes no input, and lays out results as asked", "[compile]") {
  const torch::NoGradGuard no_grad;
  Given net = given([](M&, const Tensor& x) { return torch::relu_(const_cast<Tensor&>(x)); });
  const Tensor x = randn({2, 3, 6, 5});
  const Tensor kept = x.clone();
  const Compiled fast =
      compile(net, x, {.memory_format = torch::MemoryFormat::ChannelsLast, .fallback = true});
  const Tensor y = fast(x);
  CHECK(torch::equal(x, kept));
  CHECK(torch::equal(y, kept.relu()));
  CHECK(y.is_contiguous(torch::MemoryFormat::ChannelsLast));
}

TEST_CASE("absent tensors, NaN constants and dropout in eval mode are recorded", "[compile]") {
  const torch::NoGradGuard no_grad;
  const Tensor x = randn({2, 3, 6, 5});
  const std::vector<M::Body> bodies = {
      [](M&, const Tensor& t) { return at::scaled_dot_product_attention(t, t, t); },
      [](M&, const Tensor& t) { return t.masked_fill(t > 1e9, std::nan("")) + 1; },
      [](M& m, const Tensor& t) {
        return m.conv(torch::dropout_(const_cast<Tensor&>(t), 0.5, false));
      },
      [](M&, const Tensor& t) { return t; },
      [](M&,
         const Tensor& t) {  // `out=` gives a tensor other memory, and others may get its old one
        Tensor buffer = torch::empty({0});
        at::add_out(buffer, t, t);
        const Tensor sum = buffer.sum();
        const Tensor wide = at::cat({t, t, t}, 1);
        at::add_out(buffer, wide, wide);
        return at::relu(t) + sum + buffer.narrow(1, 0, 3);
      },
  };
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    INFO("body " << i);
    Given net = given(bodies[i]);
    const Compiled fast = compile(net, x, {.memory_format = torch::MemoryFormat::ChannelsLast});
    CHECK(distance(fast(x), net(x)) < 1e-5);
    CHECK(fast(x).is_contiguous(torch::MemoryFormat::ChannelsLast));
  }
}

TEST_CASE("a compiled module within another one is planned as a part of it", "[compile]") {
  const torch::NoGradGuard no_grad;
  const Tensor x = randn({2, 3, 6, 5});
  Given inner = given([](M& m, const Tensor& t) { return m.bn(m.conv(t)).relu(); });
  const Compiled part = compile(inner, x);
  Given outer = given([&](M& m, const Tensor& t) { return m.conv(part(t)) + t; });
  const Compiled fast = compile(outer, x, {.timing = false});
  CHECK(distance(fast(x), outer->conv(inner(x)) + x) < 1e-5);
  CHECK(support::plan_of(fast).notes ==
        Notes{{"folded batch_norm", 1}, {"fused add", 1}, {"fused relu", 1}});

  // Its options hold there too, and what it refuses.
  Given writes =
      given([](M&, const Tensor& t) { return torch::relu_(const_cast<Tensor&>(t)) * 2; });
  const Compiled copied =
      compile(writes, x, {.memory_format = torch::MemoryFormat::ChannelsLast, .fallback = true});
  Given reads = given([&](M& m, const Tensor& t) {
    const Tensor y = copied(t);
    TORCH_CHECK(y.is_contiguous(torch::MemoryFormat::ChannelsLast));
    return m.conv(y) + t;
  });
  CHECK(distance(compile(reads, x)(x), reads->conv(x.relu() * 2) + x) < 1e-5);
  CHECK(summarize(*outer, x).macs == 2 * summarize(*inner, x).macs);
  inner->train();
  CHECK(support::error([&] { compile(outer, x); }) ==
        "compile: expected a module in eval mode, got one in training mode: call eval() first");

  std::optional<Compiled> itself;
  Given circle = given([&](M& m, const Tensor& t) { return itself ? (*itself)(t) : m.conv(t); });
  itself = compile(circle, x);
  itself->refresh();
  CHECK(support::error([&] { (*itself)(x); }) ==
        "compile: the forward calls the compiled module itself");
}

TEST_CASE("explain names the engine, the steps and the memory", "[compile]") {
  at::set_num_threads(1);
  const Tensor x = randn({1, 3, 40, 40});
  const Explanation explanation = explain(compile(plain_net(), x, {.timing = false}));
  INFO(explanation);
  REQUIRE(explanation.plans.size() == 1);
  const PlanExplanation& plan = explanation.plans[0];
  REQUIRE(plan.inputs.size() == 1);
  CHECK(plan.inputs[0].sizes == x.sizes());
  CHECK(plan.inputs[0].dtype == "Float");
  CHECK(plan.inputs[0].device == "cpu");
  CHECK(plan.dtype == "Float");
  CHECK_FALSE(plan.inputs[0].channels_last);
  CHECK(plan.threads == 1);
  CHECK(plan.notes == Notes{{"folded batch_norm", 1}, {"fused relu", 1}});
  CHECK(plan.remarks.empty());
  const auto step = std::find_if(plan.steps.begin(), plan.steps.end(), [](const auto& candidate) {
    return candidate.what == "conv2d 3x3 + relu";
  });
  REQUIRE(step != plan.steps.end());
  CHECK(step->fused == std::vector<std::string>{"relu"});
  CHECK(step->bytes == 4 * x.numel());
  CHECK(step->by == (is_by_onednn(plan) ? "oneDNN" : "LibTorch"));
  CHECK((plan.workspace_bytes >= step->bytes) == is_by_onednn(plan));
  CHECK((plan.weight_bytes > 0) == is_by_onednn(plan));

  CHECK(support::plan_of(compile(plain_net(), x, {.onednn = false, .timing = false})).engine ==
        "LibTorch's operators");
  Given wide = plain_net();
  wide->to(torch::kDouble);
  CHECK(support::plan_of(compile(wide, randn({1, 3, 8, 8}, torch::kDouble))).engine ==
        "LibTorch's operators, with the module's own bits");
}

TEST_CASE("an explanation is text and JSON", "[compile]") {
  Explanation explanation;
  PlanExplanation& plan = explanation.plans.emplace_back();
  plan.inputs = {{{1, 3, 8, 8}, true, "Float", "cpu"}};
  plan.dtype = "Float";
  plan.threads = 2;
  plan.engine = "oneDNN 3.2.0";
  plan.notes = {{"fused relu", 1}};
  plan.remarks = {"a remark"};
  plan.steps = {{"conv2d 3x3 + relu", "oneDNN", "jit:avx2", {"relu"}, 256},
                {"sort", "LibTorch", "", {}, 8}};
  plan.workspace_bytes = 1024 * 1024;
  plan.scratchpad_bytes = 1536;
  CHECK(explanation.text() ==
        "plan for [1, 3, 8, 8] channels_last, 2 threads\n"
        "fused relu: 1\n"
        "a remark\n"
        "engine: oneDNN 3.2.0\n"
        "  conv2d 3x3 + relu  (oneDNN jit:avx2)\n"
        "  sort  (LibTorch)\n"
        "memory: workspace 1.0 MiB (buffers of their own: 0.0 KiB), scratchpad 1.5 KiB, weights "
        "0.0 KiB\n");
  const auto json = nlohmann::json::parse(explanation.json());
  const auto& shown = json.at("plans").at(0);
  CHECK(shown.at("inputs").at(0).at("sizes") == nlohmann::json({1, 3, 8, 8}));
  CHECK(shown.at("inputs").at(0).at("channels_last") == true);
  CHECK(shown.at("engine") == "oneDNN 3.2.0");
  CHECK(shown.at("notes").at("fused relu") == 1);
  CHECK(shown.at("steps").size() == 2);
  CHECK(shown.at("steps").at(0).at("fused") == nlohmann::json({"relu"}));
  CHECK(shown.at("steps").at(0).at("bytes") == 256);
  CHECK(shown.at("memory").at("workspace_bytes") == 1024 * 1024);
}

TEST_CASE("a module of another dtype keeps its own bits", "[compile]") {
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kDouble, torch::kBFloat16, torch::kHalf}) {
    Given net = plain_net();
    net->to(dtype);
    const Tensor x = randn({2, 3, 9, 7}).to(dtype);
    CHECK(torch::equal(compile(net, randn({2, 3, 9, 7}).to(dtype))(x), net(x)));
  }
}

TEST_CASE("changed weights are noticed", "[compile]") {
  at::set_num_threads(1);
  Given net = plain_net();
  const Tensor x = randn({2, 3, 9, 7});
  const Compiled fast = compile(net, x);
  Tensor before = fast(x);
  const auto changed = [&](const std::string& what) {
    INFO(what);
    const torch::NoGradGuard no_grad;
    const Tensor y = net(x);
    CHECK(distance(before, y) > 1e-3);
    before = fast(x);
    CHECK(distance(before, y) < 1e-5);
  };

  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1));
  net->conv->weight.mutable_grad() = torch::ones_like(net->conv->weight);
  optimizer.step();
  changed("a step of SGD");
  net->conv->bias.data().add_(1);
  changed("data()");
  net->train();
  net->bn(randn({4, 3, 5, 5}) * 3 + 2);
  net->eval();
  changed("running statistics");
  load_state_dict(*net, state_dict(*plain_net()));
  changed("load_state_dict");
  {
    const torch::NoGradGuard no_grad;
    net->bn->weight.mul_(2);
  }
  changed("a multiplication");
  net->conv->weight.set_data(randn({3, 3, 3, 3}));
  changed("set_data");

  // One element that no sample looks at: documented, and refresh() is for it.
  net->conv->weight.mutable_data_ptr<float>()[1] += 5;
  const Tensor stale = fast(x);
  CHECK(torch::equal(stale, before));
  fast.refresh();
  changed("refresh()");

  net->to(torch::kDouble);
  CHECK(fast(x.to(torch::kDouble)).dtype() == torch::kDouble);
}

TEST_CASE("inputs are never written, of whatever layout they are", "[compile]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  Given net = plain_net();
  const Compiled fast = compile(net, randn({2, 3, 9, 7}));
  const Tensor large = randn({4, 5, 11, 9});
  const std::vector<Tensor> inputs = {
      large.slice(0, 1, 3).slice(1, 0, 3).slice(2, 1, 10).slice(3, 2, 9),
      randn({2, 9, 7, 3}).permute({0, 3, 1, 2}),
      randn({2, 3, 7, 9}).transpose(2, 3),
      randn({2, 1, 9, 7}).expand({2, 3, 9, 7}),
      randn({200}).narrow(0, 11, 189).view({1, 3, 9, 7}).contiguous(),
      randn({1, 3, 9, 7}).narrow(0, 0, 1),
  };
  for (const Tensor& x : inputs) {
    const Tensor kept = x.clone();
    CHECK(distance(fast(x), net(x)) < 1e-5);
    CHECK(torch::equal(x, kept));
  }
}

TEST_CASE("results share memory with nothing, and need no gradient", "[compile]") {
  at::set_num_threads(1);
  for (const bool onednn : {true, false}) {
    Given net = given([](M& m, const Tensor& x) { return m.conv(x); });
    const support::Forward forward = [&](const Compiled::Tensors& in) {
      const Tensor y = net(in[0]);
      return Compiled::Tensors{y, y, y.view({-1}), in[0], net->count, y.narrow(1, 0, 1)};
    };
    const Compiled fast = compile(net.ptr(), forward, {randn({1, 3, 6, 5})}, {.onednn = onednn});
    const Tensor x = randn({1, 3, 6, 5}).requires_grad_();
    const auto first = fast(Compiled::Tensors{x});
    Compiled::Tensors kept;
    for (const Tensor& y : first) kept.push_back(y.clone());
    const auto second = fast(Compiled::Tensors{randn({1, 3, 6, 5})});
    for (std::size_t i = 0; i < first.size(); ++i) {
      INFO("result " << i);
      CHECK_FALSE(first[i].requires_grad());
      CHECK(torch::equal(first[i], kept[i]));
      CHECK_FALSE(first[i].is_alias_of(x));
      CHECK_FALSE(first[i].is_alias_of(net->count));
      for (std::size_t k = 0; k < first.size(); ++k) {
        CHECK_FALSE(first[i].is_alias_of(second[k]));
        if (i != k) CHECK_FALSE(first[i].is_alias_of(first[k]));
      }
    }
  }
}

TEST_CASE("new shapes are planned on first use, and a bounded number is kept", "[compile]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  Given net = plain_net();
  const Compiled fast = compile(net, randn({1, 3, 6, 6}), {.max_plans = 2});
  for (const int64_t size : {7, 8, 9, 7, 6}) {
    const Tensor x = randn({1, 3, size, size});
    CHECK(distance(fast(x), net(x)) < 1e-5);
  }
  const Explanation explanation = explain(fast);
  REQUIRE(explanation.plans.size() == 2);
  CHECK(explanation.plans[0].inputs[0].sizes == std::vector<int64_t>{1, 3, 6, 6});
  CHECK(explanation.plans[1].inputs[0].sizes == std::vector<int64_t>{1, 3, 7, 7});
  CHECK(fast(torch::zeros({0, 3, 6, 6})).sizes() == torch::IntArrayRef({0, 3, 6, 6}));
  {
    const c10::InferenceMode inference;
    CHECK(fast(randn({1, 3, 5, 5})).defined());
  }
  CHECK(fast(randn({1, 3, 5, 5})).add_(1).defined());  // not of inference mode
}

TEST_CASE("results are laid out as asked", "[compile]") {
  const Tensor x = randn({2, 3, 20, 20});
  using torch::MemoryFormat;
  for (const bool onednn : {true, false}) {
    for (const auto format : {MemoryFormat::Contiguous, MemoryFormat::ChannelsLast}) {
      const Compiled fast = compile(plain_net(), x, {.memory_format = format, .onednn = onednn});
      CHECK(fast(x).is_contiguous(format));
      CHECK(fast(x.contiguous(MemoryFormat::ChannelsLast)).is_contiguous(format));
    }
  }
}

TEST_CASE("a large result is computed by rows", "[compile]") {
  const torch::NoGradGuard no_grad;
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const int64_t stride : {1, 2}) {
      for (const int64_t dilation : {1, 2}) {
        torch::nn::Conv2d conv(
            torch::nn::Conv2dOptions(5, 24, 3).stride(stride).padding(2).dilation(dilation));
        conv->eval();
        const Tensor x = randn({2, 5, 151 * stride, 163 * stride});
        const Compiled fast =
            compile(conv, randn(x.sizes()),
                    {.memory_format = torch::MemoryFormat::Contiguous, .timing = false});
        CHECK(distance(fast(x), conv(x)) < 1e-5);
#ifndef __clang__  // whose OpenMP is not LibTorch's
        const PlanExplanation plan = support::plan_of(fast);
        const bool by_rows = std::any_of(plan.steps.begin(), plan.steps.end(), [](const auto& s) {
          return s.what == "conv2d 3x3 by rows" || s.what == "conv2d 3x3 stride 2 by rows";
        });
        CHECK(by_rows == is_by_onednn(plan));
#endif
      }
    }
  }
  at::set_num_threads(1);
}

TEST_CASE("eight threads on one compiled module get the bits of one", "[compile][threads]") {
  at::set_num_threads(1);
  torch::manual_seed(1);
  models::Network net = models::create("mobilenet_v3_small", {.num_classes = 7});
  support::settle(*net);
  const Compiled fast = compile(net, randn({1, 3, 64, 64}));
  std::vector<Tensor> inputs;
  std::vector<Tensor> expected;
  for (int64_t i = 0; i < 6; ++i) {
    inputs.push_back(i % 2 == 0 ? randn({1, 3, 64, 64}) : randn({2, 3, 48, 56}));
    expected.push_back(fast(inputs.back()));
  }
  std::array<int, 8> equal{};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      at::set_num_threads(1);
      for (std::size_t i = 0; i < 24; ++i) {
        const std::size_t k = (i + t) % inputs.size();
        equal.at(t) += torch::equal(fast(inputs[k]), expected[k]) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : equal) CHECK(count == 24);
}

TEST_CASE("a thousand shapes do not grow memory", "[compile]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("the address sanitizer keeps what was freed");
#endif
  at::set_num_threads(1);
  Given net = plain_net();
  const Compiled many = compile(net, randn({1, 3, 8, 8}));
  int64_t after_first = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    many(randn({1, 3, 5 + i % 40, 5 + i / 40}));
    if (i == 250) after_first = resident_pages();
  }
  // Those that came later are larger by a few kilobytes each; oneDNN's cache of primitives, of 1024,
  // fills up. A plan that leaked would cost over 100 KiB: 75 MiB.
  const int64_t grown = (resident_pages() - after_first) * sysconf(_SC_PAGESIZE);
  CHECK(grown < 40 * 1024 * 1024);
}

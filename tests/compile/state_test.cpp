// What surrounds the plans of compile(): weights that are watched, fallback, memory, threads.
#include <convkit/compile.h>
#include <convkit/models.h>

#include "compile/compile_support.h"

#include <torch/nn/modules.h>

#include <ATen/Parallel.h>

#include <malloc.h>
#include <unistd.h>
#include <array>
#include <barrier>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <thread>

namespace {

using namespace convkit;
using support::contains;
using support::distance;
using torch::randn;
using Tensor = torch::Tensor;
using Tensors = Compiled::Tensors;

/// A convolution and a batch norm, the module's own buffers, and a forward that is given.
struct OwnedImpl : Block<OwnedImpl> {
  using Body = std::function<Tensors(OwnedImpl&, const Tensors&)>;
  explicit OwnedImpl(Body given) : body(std::move(given)) { OwnedImpl::reset(); }
  void reset() override {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 3, 3).padding(1)));
    bn = register_module("bn", torch::nn::BatchNorm2d(3));
  }
  Tensor forward(const Tensor& x) override { return body(*this, {x}).at(0); }

  Body body;
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  Tensor kept;
};
CONVKIT_MODULE(Owned);

Owned owned(OwnedImpl::Body body) {
  torch::manual_seed(0);
  Owned net(std::move(body));
  support::settle(*net);
  return net;
}

Owned small_net() {
  return owned(
      [](OwnedImpl& m, const Tensors& in) { return Tensors{torch::relu(m.bn(m.conv(in[0])))}; });
}

Compiled compiled(const Owned& net, const Tensors& examples, const CompileOptions& options = {}) {
  OwnedImpl* const raw = net.ptr().get();
  return compile(
      net.ptr(), [raw](const Tensors& in) { return raw->body(*raw, in); }, examples, options);
}

bool reads_a_value(const Tensor& x) {
  return x.sum().item<float>() < 1e9F;
}

/// MiB that the process holds, without what the heap keeps though it is free.
double resident() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  int64_t all = 0;
  int64_t pages = 0;
  file >> all >> pages;
  return static_cast<double>(pages * sysconf(_SC_PAGESIZE)) / (1024 * 1024);
}

/// Runs `f(number)` on some threads at once, each with one thread of LibTorch's, and waits for them.
void on_threads(std::size_t count, const std::function<void(std::size_t)>& f) {
  std::barrier start(static_cast<std::ptrdiff_t>(count));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      at::set_num_threads(1);
      start.arrive_and_wait();
      f(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("weights that are expanded or have gaps are watched where they are", "[compile]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  Owned net = owned([](OwnedImpl& m, const Tensors& in) {
    const Tensor mask = m.named_buffers()["mask"].narrow(0, 0, 3).view({3, 1, 1});
    return Tensors{m.conv(in[0]) * mask * m.named_buffers()["gaps"].view({1, 3, 1, 1})};
  });
  Tensor one = torch::ones({1});
  Tensor five = randn({5});
  net->register_buffer("mask", one.expand({int64_t{1} << 40}));
  net->register_buffer("gaps", five.slice(0, 0, 5, 2));
  const Tensor x = randn({1, 3, 6, 5});
  const Compiled fast = compile(net, x);
  CHECK(distance(fast(x), net(x)) < 1e-5);
  // Past the version counters, as LibTorch's optimizers write.
  one.mutable_data_ptr<float>()[0] = 3;
  CHECK(distance(fast(x), net(x)) < 1e-5);
  five.mutable_data_ptr<float>()[4] += 3;  // the last one of three
  CHECK(distance(fast(x), net(x)) < 1e-5);
  five.mutable_data_ptr<float>()[2] += 3;
  five.mutable_data_ptr<float>()[0] += 3;
  CHECK(distance(fast(x), net(x)) < 1e-5);
}

TEST_CASE("expanded constants are copied as they are", "[compile]") {
  const torch::NoGradGuard no_grad;
  Owned net = owned([](OwnedImpl& m, const Tensors& in) {
    return Tensors{m.named_buffers()["table"].index({in[0]})};
  });
  net->register_buffer("table", randn({1, 3}).expand({int64_t{1} << 40, 3}));
  const Tensor x = torch::tensor({5, 1, 0});
  const Compiled fast = compiled(net, {x});
  CHECK(torch::equal(fast(x), net(x)));
  CHECK_FALSE(support::plan_of(fast).fell_back);
}

TEST_CASE("buffers that are no ordinary tensors disturb nobody", "[compile]") {
  const torch::NoGradGuard no_grad;
  const Tensor x = randn({1, 3, 6, 5});
  const std::vector<Tensor> buffers = {
      torch::ones({2, 2}).to_sparse(), torch::ones({3, 3}).to_sparse_csr(),
      at::quantize_per_tensor(torch::ones({4}), 0.1, 0, torch::kQUInt8),
      torch::empty({4}, torch::kMeta), torch::empty({0})};
  for (const Tensor& buffer : buffers) {
    INFO(buffer.toString());
    Owned net = small_net();
    net->register_buffer("unused", buffer);
    const Compiled fast = compile(net, x);
    CHECK(distance(fast(x), net(x)) < 1e-5);
    CHECK(distance(fast(x + 1), net(x + 1)) < 1e-5);
  }
  Owned uses = owned([](OwnedImpl& m, const Tensors& in) {
    return Tensors{in[0] + m.named_buffers()["sparse"].to_dense()};
  });
  uses->register_buffer("sparse", torch::ones({5, 5}).to_sparse());
  CHECK(
      contains(support::error([&] { compile(uses, randn({5, 5})); }), "got one of layout Sparse"));
  const Compiled plain = compile(uses, randn({5, 5}), {.fallback = true});
  CHECK(torch::equal(plain(torch::ones({5, 5})), torch::full({5, 5}, 2.0F)));
}

TEST_CASE("lazily negated and conjugated inputs keep their sign", "[compile]") {
  const torch::NoGradGuard no_grad;
  const Tensor x = randn({1, 3, 6, 5});
  for (const bool onednn : {true, false}) {
    Owned net = small_net();
    const Compiled fast = compile(net, x, {.onednn = onednn});
    const Tensor negative = torch::_neg_view(x);
    REQUIRE(negative.is_neg());
    CHECK(distance(fast(negative), net(negative)) < 1e-5);
    const Tensor nothing = at::_efficientzerotensor(x.sizes(), x.options());
    CHECK(distance(fast(nothing), net(torch::zeros_like(x))) < 1e-5);
    CHECK(distance(compile(net, negative, {.onednn = onednn})(x), net(x)) < 1e-5);
  }
  Owned sums = owned([](OwnedImpl&, const Tensors& in) {
    return Tensors{torch::real(in[0]) + 2 * torch::imag(in[0])};
  });
  const Tensor c = randn({4, 5}, torch::kComplexFloat);
  const Compiled fast = compiled(sums, {c});
  REQUIRE(c.conj().is_conj());
  CHECK(torch::equal(fast(c.conj()), sums(c.conj())));
}

TEST_CASE("fallback throws on what the module throws, and keeps nothing of it", "[compile]") {
  const torch::NoGradGuard no_grad;
  Owned net = owned([](OwnedImpl& m, const Tensors& in) {
    if (in[0].size(0) == 3) throw std::range_error("the module's own");
    if (in[0].size(0) == 4 && reads_a_value(in[0])) throw 4;
    return Tensors{m.conv(in[0])};
  });
  const Tensor x = randn({1, 3, 6, 5});
  const Compiled fast = compile(net, x, {.fallback = true, .max_plans = 1});
  REQUIRE_FALSE(support::plan_of(fast).fell_back);
  CHECK_THROWS_AS(fast(randn({3, 3, 6, 5})), std::range_error);
  CHECK_THROWS_AS(fast(randn({4, 3, 6, 5})), int);
  CHECK_THAT(support::error([&] { fast(randn({1, 4, 6, 5})); }),
             Catch::Matchers::ContainsSubstring("expected input[1, 4, 6, 5] to have 3 channels"));
  const Explanation explanation = explain(fast);
  REQUIRE(explanation.plans.size() == 1);
  CHECK_FALSE(explanation.plans[0].fell_back);
  CHECK(explanation.plans[0].inputs[0].sizes == x.sizes());
  CHECK(distance(fast(x), net(x)) < 1e-5);
}

TEST_CASE("fallback runs what is refused for any reason", "[compile]") {
  const torch::NoGradGuard no_grad;
  const Tensor x = randn({2, 3, 6, 5});
  const std::vector<std::pair<std::string, OwnedImpl::Body>> refused = {
      {"depends on its input, by aten::item",
       [](OwnedImpl& m, const Tensors& in) {
         return Tensors{reads_a_value(in[0]) ? m.conv(in[0]) : in[0]};
       }},
      {"on its second run",
       [](OwnedImpl&, const Tensors& in) {
         return Tensors{in[0] * in[0].const_data_ptr<float>()[0]};
       }},
      {"past LibTorch's dispatcher",
       [](OwnedImpl&, const Tensors& in) {
         Tensor y = torch::empty({1});
         *y.mutable_data_ptr<float>() = in[0].const_data_ptr<float>()[3];
         return Tensors{y};
       }},
  };
  for (const auto& [words, body] : refused) {
    INFO(words);
    Owned net = owned(body);
    CHECK_THROWS_AS(compile(net, x), c10::Error);
    const Compiled fast = compile(net, x, {.fallback = true});
    CHECK(torch::equal(fast(x), net(x)));
    const PlanExplanation plan = support::plan_of(fast);
    CHECK(plan.engine == "the plain module");
    CHECK(plan.fell_back);
    REQUIRE(plan.remarks.size() == 1);
    CHECK(plan.remarks[0].starts_with("compile: "));
  }
}

TEST_CASE("what fallback gives shares memory with nothing", "[compile]") {
  const torch::NoGradGuard no_grad;
  Owned net = owned([](OwnedImpl& m, const Tensors& in) {
    const Tensor y = m.conv(in[0]);
    const Tensor z = y + (reads_a_value(y) ? 1 : 2);
    m.kept = y * 2;
    Tensor& weight = m.conv->weight;
    return Tensors{y,
                   y,
                   y.view({-1}),
                   z.narrow(0, 0, 1),
                   in[0],
                   m.kept,
                   weight,
                   weight.detach().view({-1}),
                   weight.data(),
                   torch::from_blob(weight.data_ptr(), weight.sizes())};
  });
  const Tensor x = randn({1, 3, 6, 5});
  const Compiled fast = compiled(net, {x}, {.fallback = true});
  REQUIRE(support::plan_of(fast).engine == "the plain module");
  const Tensors expected = net->body(*net, {x});
  const Tensors outputs = fast(Tensors{x});
  CHECK(contains(support::error([&] { fast(x); }),
                 "call it with convkit::Compiled::Tensors{x}, which gives all of them"));
  const Tensors again = fast(Tensors{x});
  REQUIRE(outputs.size() == expected.size());
  const auto overlap = [](const Tensor& a, const Tensor& b) {
    const auto* first = static_cast<const char*>(a.storage().data());
    const auto* second = static_cast<const char*>(b.storage().data());
    return first < second + b.storage().nbytes() && second < first + a.storage().nbytes();
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    INFO("result " << i);
    CHECK(torch::equal(outputs[i], expected[i]));
    CHECK_FALSE(overlap(outputs[i], x));
    CHECK_FALSE(overlap(outputs[i], net->kept));
    CHECK_FALSE(overlap(outputs[i], net->conv->weight));
    for (std::size_t k = 0; k < outputs.size(); ++k) {
      CHECK_FALSE(overlap(outputs[i], again[k]));
      if (i != k) CHECK_FALSE(overlap(outputs[i], outputs[k]));
    }
  }
}

TEST_CASE("results are never a plan's own constants", "[compile]") {
  const torch::NoGradGuard no_grad;
  Owned net = owned([](OwnedImpl& m, const Tensors& in) {
    return Tensors{m.conv(in[0]).relu(), m.conv->bias, m.bn->weight.view_as(in[1])};
  });
  const Tensors inputs = {randn({1, 3, 6, 5}), randn({3})};
  for (const bool onednn : {true, false}) {
    const Compiled fast = compiled(net, inputs, {.onednn = onednn});
    const Tensors expected = fast(inputs);
    Tensors kept;
    for (const Tensor& y : expected) kept.push_back(y.clone());
    for (const Tensor& y : expected) y.zero_();
    const Tensors again = fast(inputs);
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(torch::equal(again[i], kept[i]));
  }
}

TEST_CASE("a forward that calls its own compiled module is told so", "[compile][errors]") {
  const Tensor x = randn({2, 3, 6, 5});
  for (const bool fallback : {false, true}) {
    for (const bool refused : {false, true}) {
      std::optional<Compiled> itself;
      Owned circle = owned([&](OwnedImpl& m, const Tensors& in) {
        if (refused) reads_a_value(in[0]);
        return itself && in[0].size(0) == 3 ? (*itself)(in) : Tensors{m.conv(in[0])};
      });
      if (refused && !fallback) continue;
      itself = compiled(circle, {x}, {.fallback = fallback});
      INFO("fallback " << fallback << ", refused " << refused);
      CHECK(support::error([&] { (*itself)(randn({3, 3, 6, 5})); }) ==
            "compile: the forward calls the compiled module itself");
      CHECK((*itself)(x).defined());
    }
  }
}

TEST_CASE("a plain module that writes to its buffers runs once a call", "[compile]") {
  int64_t runs = 0;
  Owned counter = owned([&](OwnedImpl& m, const Tensors& in) {
    ++runs;
    m.bn->running_mean.add_(1);
    return Tensors{m.conv(in[0])};
  });
  const Tensor x = randn({2, 3, 6, 5});
  const Compiled fast = compiled(counter, {x}, {.fallback = true});
  fast(x);
  const int64_t before = runs;
  for (int64_t i = 0; i < 5; ++i) fast(x);
  CHECK(runs == before + 5);
}

TEST_CASE("plans of all shapes share their weights", "[compile]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("the address sanitizer keeps what was freed");
#endif
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  for (const auto dtype : {torch::kFloat32, torch::kDouble}) {
    torch::nn::Sequential net{
        torch::nn::Conv2d(torch::nn::Conv2dOptions(512, 512, 3).padding(1).bias(false)),
        torch::nn::BatchNorm2d(512)};
    net->to(dtype);
    support::settle(*net);
    const auto forward = [&](const Tensors& in) { return Tensors{net->forward(in[0])}; };
    const Compiled fast = compile(net.ptr(), forward, {randn({1, 512, 8, 8}, dtype)},
                                  {.timing = false, .max_plans = 20});
    fast(randn({1, 512, 7, 8}, dtype));
    const double before = resident();
    for (int64_t i = 0; i < 12; ++i) fast(randn({1, 512, 8 + i, 9}, dtype));
    const double weight = 512.0 * 512 * 9 * static_cast<double>(c10::elementSize(dtype)) / 1048576;
    // LibTorch's fused operators have weights in a layout of their own, which only they can look into.
    const bool fused = support::plan_of(fast).engine == "LibTorch's operators";
    // Two layouts of the weight, what the kernels are, and the heap's gaps; without sharing there are twelve.
    CHECK((fused || resident() - before < 4 * weight));
    CHECK(explain(fast).plans.size() == 14);
  }
}

TEST_CASE("memory of calls at a time goes back", "[compile]") {
#ifdef __SANITIZE_ADDRESS__
  SKIP("the address sanitizer keeps what was freed");
#endif
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  torch::nn::Sequential net{torch::nn::Conv2d(1, 24, 1), torch::nn::Conv2d(24, 1, 1)};
  support::settle(*net);
  const auto forward = [&](const Tensors& in) { return Tensors{net->forward(in[0])}; };
  const Tensor x = randn({1, 1, 700, 700});  // 45 MiB between the convolutions
  const Compiled fast = compile(net.ptr(), forward, {x}, {.timing = false});
  if (!support::plan_of(fast).engine.starts_with("oneDNN")) return;
  const double workspace = static_cast<double>(support::plan_of(fast).workspace_bytes) / 1048576;
  REQUIRE(workspace > 40);
  double before = 0;
  for (const bool warm :
       {false, true}) {  // the first threads of a process leave stacks and heaps behind
    on_threads(6, [&](std::size_t) {
      for (int i = 0; i < 4; ++i) fast(x);
    });
    if (warm) CHECK(resident() - before > workspace);
    for (int i = 0; i < 80; ++i) fast(x);
    if (warm) CHECK(resident() - before < workspace / 2);
    before = resident();
  }

  // A plan that is not used at all lets go of its only one.
  const Tensor other = randn({1, 1, 4, 4});
  for (int i = 0; i < 600; ++i) fast(other);
  CHECK(resident() - before < -workspace / 2);
  CHECK(distance(fast(x), net->forward(x)) < 1e-5);
}

TEST_CASE("eight threads plan more shapes than are kept, and plan anew", "[compile][threads]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  Owned net = small_net();
  Owned inner = small_net();
  const Compiled part = compile(inner, randn({1, 3, 6, 6}), {.max_plans = 2});
  Owned outer = owned([&](OwnedImpl& m, const Tensors& in) {  // refused, so that it runs as it is
    return Tensors{m.conv(part(in[0])) + (reads_a_value(in[0]) ? 1 : 2)};
  });
  const Compiled fast = compile(net, randn({1, 3, 6, 6}), {.max_plans = 3});
  const Compiled nested = compile(outer, randn({1, 3, 6, 6}), {.fallback = true, .max_plans = 3});
  std::vector<Tensor> inputs;
  for (int64_t i = 0; i < 7; ++i) inputs.push_back(randn({1, 3, 6 + i, 7}));
  for (const bool refreshes : {false, true}) {
    // No thread calls while the weights change.
    if (refreshes) {
      net->conv->weight.mutable_data_ptr<float>()[1] += 1;  // which only refresh() tells
      fast.refresh();
    } else {
      net->conv->weight.mul_(1.5);
      inner->conv->weight.mul_(1.5);
    }
    std::vector<Tensor> expected;
    std::vector<Tensor> expected_nested;
    for (const Tensor& x : inputs) {
      expected.push_back(net(x));
      expected_nested.push_back(outer->conv(inner(x)) + 1);
    }
    std::array<int, 8> right{};
    on_threads(right.size(), [&](std::size_t t) {
      const torch::NoGradGuard no_gradients;
      for (std::size_t i = 0; i < 10; ++i) {
        const std::size_t k = (3 * i + t) % inputs.size();
        if (t == 0) fast.refresh();
        if (t == 1) explain(fast);
        right.at(t) += distance(fast(inputs[k]), expected[k]) < 1e-5 ? 1 : 0;
        right.at(t) += distance(nested(inputs[k]), expected_nested[k]) < 1e-5 ? 1 : 0;
      }
    });
    for (const int count : right) CHECK(count == 20);
    CHECK(explain(fast).plans.size() <= 3);
  }
}

TEST_CASE("threads may compile with a module that others call", "[compile][threads]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  Owned inner = small_net();
  const Tensor x = randn({1, 3, 6, 6});
  const Compiled part = compile(inner, x, {.max_plans = 1});
  Owned outer =
      owned([&](OwnedImpl& m, const Tensors& in) { return Tensors{m.conv(part(in[0])) + in[0]}; });
  const Tensor expected = inner(x);
  const Tensor expected_outer = outer->conv(inner(x)) + x;
  std::array<int, 6> right{};
  on_threads(right.size(), [&](std::size_t t) {
    const torch::NoGradGuard no_gradients;
    for (int i = 0; i < 5; ++i) {
      if (t % 2 == 0) {
        right.at(t) += distance(compile(outer, x)(x), expected_outer) < 1e-5 ? 1 : 0;
      } else {
        part(randn({1, 3, 5, 6}));
        right.at(t) += distance(part(x), expected) < 1e-5 ? 1 : 0;
      }
    }
  });
  for (const int count : right) CHECK(count == 5);
}

// What compile() proves of a plan before it uses it.
#include "compile/proof.h"

#include <convkit/compile.h>
#include <convkit/module.h>

#include "compile/compile_support.h"
#include "compile/tape/refusals.h"

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>

#include <chrono>
#include <thread>

namespace {

using namespace convkit::detail;
using convkit::Compiled;
using torch::randn;
using Tensor = torch::Tensor;

/// An engine that gives what a function does.
class HandEngine : public Engine {
 public:
  explicit HandEngine(Forward forward) : forward_(std::move(forward)) {}
  Tensors run(const Tensors& inputs, const Watch*) override { return forward_(inputs); }
  void explain(convkit::PlanExplanation&) const override {}

 private:
  Forward forward_;
};

Compiled compiled(const std::shared_ptr<torch::nn::Module>& module, const Forward& forward,
                  const Tensors& examples) {
  module->eval();
  return convkit::compile(module, forward, examples, {.timing = false});
}

}  // namespace

TEST_CASE("a plan that is wrong for some scale of its inputs is found", "[compile][proof]") {
  const torch::NoGradGuard no_grad;
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3).bias(false));
  const Forward forward = [&](const Tensors& x) { return Tensors{conv.ptr()->forward(x[0])}; };
  const Tensor example = randn({1, 3, 8, 8});
  const Proof proof(*conv.ptr(), forward, {example});
  CHECK(proof.remarks().empty());
  const Proof::Accuracy accuracy{1e-3, 1e-6};
  const auto is_found = [&](const std::function<Tensor(const Tensor&)>& wrong) {
    HandEngine engine([&](const Tensors& x) { return forward({wrong(x[0])}); });
    return support::error([&] { proof.check(engine, accuracy); }) != "no error";
  };
  CHECK_FALSE(is_found([](const Tensor& x) { return x; }));
  CHECK_FALSE(is_found([](const Tensor& x) { return x * 1.000001; }));
  CHECK(is_found([](const Tensor& x) { return x.clamp(-20, 20); }));
  CHECK(is_found([](const Tensor& x) { return x + 1e-4; }));
  CHECK(is_found([&](const Tensor& x) { return x.equal(example) ? x * 1.01 : x; }));
  CHECK(is_found([](const Tensor& x) { return x.masked_fill(x > 2, NAN); }));
}

TEST_CASE("where an average decides, its rounding is allowed", "[compile][proof]") {
  const torch::NoGradGuard no_grad;
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3).bias(false));
  const Forward forward = [&](const Tensors& x) {  // its phase is 80,000 for numbers up to 100
    return Tensors{conv.ptr()->forward(x[0]) * (x[0].abs().mean() * 1e3).sin()};
  };
  const Proof proof(*conv.ptr(), forward, {randn({1, 3, 64, 64})});
  const auto error_of = [&](double factor) {
    HandEngine engine([&](const Tensors& x) { return forward({x[0] * factor}); });
    return support::error([&] { proof.check(engine, {1e-3, 1e-6}); });
  };
  CHECK(error_of(1 + 2.4e-6) == "no error");
  CHECK(error_of(1 - 2.4e-6) == "no error");
  CHECK(error_of(1 + 5e-4) != "no error");
}

TEST_CASE("an exact plan is held to the order of its sums", "[compile][proof]") {
  const torch::NoGradGuard no_grad;
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  const Forward forward = [&](const Tensors& x) { return Tensors{conv.ptr()->forward(x[0])}; };
  const Proof proof(*conv.ptr(), forward, {randn({1, 3, 8, 8})});
  HandEngine same(forward);
  CHECK(support::error([&] { proof.check(same, {Proof::kSameOperators, 0}); }) == "no error");
  HandEngine near([&](const Tensors& x) { return Tensors{forward(x)[0] * (1 + 1e-5)}; });
  CHECK(support::error([&] { proof.check(near, {Proof::kSameOperators, 0}); }) != "no error");
}

TEST_CASE("a plan that takes longer than the plain operators is seen", "[compile][proof]") {
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  const Forward forward = [&](const Tensors& x) { return Tensors{conv.ptr()->forward(x[0])}; };
  const Proof proof(*conv.ptr(), forward, {randn({1, 3, 8, 8})});
  HandEngine slow([&](const Tensors& x) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    return forward(x);
  });
  CHECK(proof.relative_time(slow) > 1.05);
}

TEST_CASE("of a result that is one number nothing is proven, which is said", "[compile][proof]") {
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  const Compiled fast = compiled(conv.ptr(),
                                 [&](const Tensors& x) {
                                   const Tensor y = conv.ptr()->forward(x[0]);
                                   return Tensors{y, y.clamp(2000, 3000).clamp(0, 2000)};
                                 },
                                 {randn({1, 3, 8, 8})});
  const auto remarks = support::plan_of(fast).remarks;
  REQUIRE(remarks.size() == 1);
  CHECK(remarks[0] ==
        "result 1 is one number, or none, for all inputs that were tried: of it nothing is proven");
}

TEST_CASE("a whole number that is read through its pointer is not baked in", "[compile][proof]") {
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  const Forward forward = [&](const Tensors& x) {
    const int64_t length = *x[1].const_data_ptr<int64_t>();
    return Tensors{conv.ptr()->forward(x[0]).narrow(2, 0, length)};
  };
  CHECK(support::contains(support::error([&] {
                            compiled(conv.ptr(), forward,
                                     {randn({1, 3, 8, 8}), torch::tensor({int64_t{3}})});
                          }),
                          "compile: the forward does something else on its second run: "));
}

TEST_CASE("an index at the end of its range is varied to the other side", "[compile][proof]") {
  const torch::NoGradGuard no_grad;
  const torch::nn::Embedding rows(10, 4);
  const Forward forward = [&](const Tensors& x) { return Tensors{rows.ptr()->forward(x[0])}; };
  const Compiled fast = compiled(rows.ptr(), forward, {torch::tensor({int64_t{9}})});
  CHECK(support::plan_of(fast).remarks.empty());
  const Tensor other = torch::tensor({int64_t{4}});
  CHECK(torch::equal(fast(other), forward({other})[0]));
  const torch::nn::Embedding one(1, 4);  // there is no other side
  const Compiled same =
      compiled(one.ptr(), [&](const Tensors& x) { return Tensors{one.ptr()->forward(x[0])}; },
               {torch::tensor({int64_t{0}})});
  CHECK(support::plan_of(same).remarks ==
        std::vector<std::string>{"whole numbers of the inputs that are all alike were not varied"});
}

TEST_CASE("a module that takes no random numbers is proven with others near the example",
          "[compile][proof]") {
  const torch::NoGradGuard no_grad;
  const torch::nn::Conv2d conv(torch::nn::Conv2dOptions(1, 4, 3));
  const Forward forward = [&](const Tensors& x) {  // of positive definite matrices
    return Tensors{conv.ptr()->forward(torch::linalg_cholesky(x[0]))};
  };
  const Tensor a = torch::eye(8).mul(9).view({1, 1, 8, 8});
  const Compiled fast = compiled(conv.ptr(), forward, {a});
  const Tensor x = a + 0.1 * torch::ones({8, 8});
  CHECK(support::distance(fast(x), forward({x})[0]) < 1e-5);
}

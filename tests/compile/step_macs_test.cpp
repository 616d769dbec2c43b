#include <convkit/compile.h>
#include <convkit/module.h>
#include <convkit/summary.h>

#include "compile/compile_support.h"

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>

namespace {

using namespace convkit;
using torch::Tensor;

/// Convolutions of all kinds and matrix products, one after the other.
struct ProductsImpl : Block<ProductsImpl> {
  ProductsImpl() { ProductsImpl::reset(); }
  void reset() override {
    using Options = torch::nn::Conv2dOptions;
    conv = register_module(
        "conv", torch::nn::Conv2d(Options(4, 8, {3, 5}).stride({2, 1}).padding({1, 2}).groups(2)));
    pointwise = register_module("pointwise", torch::nn::Conv2d(Options(8, 16, 1)));
    depthwise = register_module(
        "depthwise", torch::nn::Conv2d(Options(16, 16, 3).stride(2).padding(1).groups(16)));
    up =
        register_module("up", torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(16, 6, 3)
                                                             .stride(2)
                                                             .padding(1)
                                                             .output_padding(1)
                                                             .dilation(2)));
    linear = register_module("linear", torch::nn::Linear(6, 5));
    row = register_module("row", torch::nn::Conv1d(torch::nn::Conv1dOptions(5, 3, 3)));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = up(depthwise(at::relu6(pointwise(conv(x)))));
    const Tensor tokens = linear(y.flatten(2).transpose(1, 2));
    const Tensor weights = at::bmm(tokens, tokens.transpose(1, 2)).softmax(-1);
    return row(at::matmul(weights, tokens).transpose(1, 2));
  }

  torch::nn::Conv2d conv{nullptr}, pointwise{nullptr}, depthwise{nullptr};
  torch::nn::ConvTranspose2d up{nullptr};
  torch::nn::Linear linear{nullptr};
  torch::nn::Conv1d row{nullptr};
};
CONVKIT_MODULE(Products);

}  // namespace

TEST_CASE("the steps of a plan have the multiplications that summarize() counts",
          "[compile][explain]") {
  Products net;
  net->eval();
  const Tensor x = torch::randn({2, 4, 20, 13});
  const int64_t expected = summarize(*net, x).macs;
  for (const bool onednn : {true, false}) {
    const Compiled fast = compile(net, x, {.onednn = onednn, .timing = false});
    const PlanExplanation plan = support::plan_of(fast);
    INFO(explain(fast));
    int64_t sum = 0;
    for (const StepExplanation& step : plan.steps) sum += step.macs;
    CHECK(sum == expected);
    const auto json = nlohmann::json::parse(explain(fast).json());
    int64_t written = 0;
    for (const auto& step : json["plans"][0]["steps"]) written += step["macs"].get<int64_t>();
    CHECK(written == expected);
  }
}

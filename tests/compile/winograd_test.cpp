// 3x3 convolutions by F(4x4, 3x3): the transforms by themselves, and the plans that take them.
#include "compile/engines/winograd.h"

#include "compile/compile_support.h"
#include "compile/engines/transpose.h"
#include "compile/onednn/engine.h"

#include <convkit/compile.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include <ATen/Parallel.h>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace convkit::detail;
using convkit::Compiled;
using convkit::CompileOptions;
using support::contains;
using support::distance;
using support::plan_of;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;
using Tensor = torch::Tensor;

Conv2d convolution(int64_t in, int64_t out, int64_t padding = 1) {
  Conv2d result(Conv2dOptions(in, out, 3).padding(padding));
  result->eval();
  return result;
}

/// The only way in which a plan's convolutions are computed.
std::string way_of(const Compiled& fast) {
  const auto choices = plan_of(fast).choices;
  REQUIRE(choices.size() == 1);
  return choices.begin()->second;
}

}  // namespace

TEST_CASE("the transforms of a tile give its convolution", "[compile][winograd]") {
  torch::manual_seed(1);
  const auto rows = winograd::weight_transform();
  const Tensor g = torch::empty({winograd::kPatch, 3}, torch::kDouble);
  std::copy_n(rows.front().data(), winograd::kPatch * 3, g.data_ptr<double>());
  // One register, a part of one, and both.
  for (const int64_t channels : {16, 5, 37}) {
    INFO(channels);
    const Tensor x = torch::randn({winograd::kPatch, winograd::kPatch, channels});
    Tensor places = torch::full({winograd::kPlaces, channels}, -1.0F);
    winograd::transform_patch(x.data_ptr<float>(), {winograd::kPatch * channels, channels},
                              places.data_ptr<float>(), channels, channels);
    const Tensor weight = torch::randn({channels, 3, 3});  // of each channel alone
    const Tensor transformed = g.matmul(weight.to(torch::kDouble)).matmul(g.t()).flatten(1).t();
    const Tensor products = (places * transformed).to(torch::kFloat).contiguous();
    const Tensor bias = torch::randn({channels});
    const Tensor expected =
        at::conv2d(x.permute({2, 0, 1}).unsqueeze(0).to(torch::kDouble),
                   weight.unsqueeze(1).to(torch::kDouble), bias.to(torch::kDouble), Sizes{1, 1},
                   Sizes{0, 0}, Sizes{1, 1}, channels)
            .squeeze(0)
            .permute({1, 2, 0});
    // Less than a whole tile, and what it is added to, in a larger image.
    for (const auto& [height, width] : {std::pair(4, 4), std::pair(3, 4), std::pair(4, 1)}) {
      for (const bool relu : {false, true}) {
        Tensor image = torch::randn({5, 6, channels});
        const Tensor before = image.clone();
        winograd::transform_tile(products.data_ptr<float>(), channels, image.data_ptr<float>(),
                                 {6 * channels, channels}, height, width, channels,
                                 {bias.data_ptr<float>(), image.data_ptr<float>(), relu});
        Tensor whole = before.to(torch::kDouble);
        const auto part = [&](const Tensor& t) {
          return t.narrow(0, 0, height).narrow(1, 0, width);
        };
        part(whole).add_(part(expected));
        if (relu) part(whole).relu_();
        CHECK(distance(image, whole) <= 1e-5);
        CHECK(torch::equal(image.narrow(0, height, 5 - height),
                           before.narrow(0, height, 5 - height)));
        CHECK(torch::equal(image.narrow(1, width, 6 - width), before.narrow(1, width, 6 - width)));
      }
    }
  }
}

TEST_CASE("3x3 convolutions of many channels and tiles take winograd", "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  const auto way = [](Conv2d net, const torch::IntArrayRef sizes, CompileOptions options = {}) {
    net->eval();
    options.timing = false;
    return way_of(convkit::compile(net, torch::randn(sizes), options));
  };
  CHECK(way(convolution(64, 64), {1, 64, 16, 16}) == "winograd");
  CHECK(way(convolution(64, 64), {16, 64, 3, 3}) == "winograd");
  CHECK(way(convolution(64, 64), {1, 64, 12, 12}) == "channels_last");  // few tiles
  CHECK(way(convolution(16, 512), {1, 16, 16, 16}) == "channels_last");
  CHECK(way(convolution(64, 64), {1, 64, 16, 16}, {.winograd = false}) == "channels_last");
  CHECK(way(convolution(64, 64), {1, 64, 16, 16}, {.dtype = torch::kBFloat16}) == "channels_last");
  CHECK(way(Conv2d(Conv2dOptions(64, 64, 3).stride(2)), {1, 64, 33, 33}) == "channels_last");
  CHECK(way(Conv2d(Conv2dOptions(64, 64, 3).dilation(2)), {1, 64, 33, 33}) == "channels_last");
  // The transform of a result knows no SiLU.
  torch::nn::Sequential with_silu(convolution(64, 64), torch::nn::SiLU());
  with_silu->eval();
  const Tensor x = torch::randn({1, 64, 16, 16});
  CHECK(way_of(convkit::compile(with_silu, x, {.timing = false})) == "channels_last");
  torch::nn::Sequential with_relu(convolution(64, 64), torch::nn::ReLU());
  with_relu->eval();
  const Compiled fast = convkit::compile(with_relu, x, {.timing = false});
  CHECK(way_of(fast) == "winograd");
  CHECK(contains(convkit::explain(fast).text(), "winograd 4x4, "));
}

TEST_CASE("winograd rounds about as direct convolution does", "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  for (const int64_t channels : {64, 512}) {
    for (const int64_t padding : {0, 1, 2}) {
      Conv2d net = convolution(channels, 72, padding);
      const Tensor x = torch::randn({2, channels, 17, 22}).relu();
      const Compiled fast = convkit::compile(net, x, {.timing = false});
      REQUIRE(way_of(fast) == "winograd");
      const Tensor expected =
          at::conv2d(x.to(torch::kDouble), net->weight.to(torch::kDouble),
                     net->bias.to(torch::kDouble), Sizes{1, 1}, Sizes{padding, padding});
      // 6e-8 is float32's rounding of one sum; the transforms' numbers are up to 10 times the pixels.
      CHECK(distance(fast(x), expected) <= 5e-6);
    }
  }
}

TEST_CASE("winograd gives its numbers on any number of threads", "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  const int before = at::get_num_threads();
  Conv2d net = convolution(64, 64);
  const Tensor x = torch::randn({3, 64, 25, 30});
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const Compiled fast = convkit::compile(net, x, {.timing = false});
    CHECK(way_of(fast) == (transposes_on(threads) ? "winograd" : "channels_last"));
    CHECK(at::get_num_threads() == threads);
    results.push_back(fast(x));
  }
  at::set_num_threads(before);
  const Tensor expected = net(x);
  for (const Tensor& result : results) CHECK(distance(result, expected) <= 1e-5);
}

TEST_CASE("a NaN or an infinity stays in the tiles that see it", "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  Conv2d net = convolution(64, 64);
  const Tensor x = torch::randn({1, 64, 20, 20});
  const Compiled fast = convkit::compile(net, x, {.timing = false});
  REQUIRE(way_of(fast) == "winograd");
  const Tensor clean = fast(x);
  for (const double odd : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    Tensor marred = x.clone();
    marred[0][3][10][1] = odd;  // seen by the tile of rows 8 to 11 and columns 0 to 3 alone
    const Tensor y = fast(marred);
    CHECK_FALSE(y.slice(2, 9, 12).slice(3, 0, 3).isfinite().any().item<bool>());
    Tensor others = torch::ones({20, 20}, torch::kBool);
    others.slice(0, 8, 12).slice(1, 0, 4).zero_();
    CHECK(torch::equal(y.permute({2, 3, 0, 1}).index({others}),
                       clean.permute({2, 3, 0, 1}).index({others})));
  }
}

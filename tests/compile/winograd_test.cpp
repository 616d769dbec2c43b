// Convolutions by F(m x m, r x r): the transforms by themselves, and the plans that take them.
#include "compile/engines/winograd.h"

#include "compile/compile_support.h"
#include "compile/engines/activations.h"
#include "compile/engines/transpose.h"
#include "compile/onednn/engine.h"

#include <convkit/activation.h>
#include <convkit/compile.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <ATen/Parallel.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
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

Conv2d convolution(int64_t in, int64_t out, int64_t padding = 1, int64_t kernel = 3) {
  Conv2d result(Conv2dOptions(in, out, kernel).padding(padding));
  result->eval();
  return result;
}

/// The only way in which a plan's convolutions are computed.
std::string way_of(const Compiled& fast) {
  const auto choices = plan_of(fast).choices;
  REQUIRE(choices.size() == 1);
  return choices.begin()->second;
}

using Reference = std::function<Tensor(const Tensor&)>;

/// LibTorch's gelu(x, "tanh"), which for x below 0 is a small difference of large numbers.
Tensor gelu_by_sigmoid(const Tensor& x) {
  return x * at::sigmoid((x + x * x * x * 0.044715) * (2 * std::sqrt(2 / std::acos(-1.0))));
}

/// Each activation that a transform of results has, and LibTorch's.
std::vector<std::pair<lanes::LaneActivation, Reference>> activations() {
  using Kind = lanes::LaneActivation::Kind;
  return {
      {{Kind::kNone}, [](const Tensor& x) { return x.clone(); }},
      {{Kind::kClip}, [](const Tensor& x) { return at::relu(x); }},
      {{Kind::kClip, -1, 6}, [](const Tensor& x) { return at::clamp(x, -1, 6); }},
      {{Kind::kLeakyRelu, 0.1F}, [](const Tensor& x) { return at::leaky_relu(x, 0.1); }},
      {{Kind::kHardswish}, [](const Tensor& x) { return at::hardswish(x); }},
      {{Kind::kSilu}, [](const Tensor& x) { return at::silu(x); }},
      {{Kind::kSigmoid}, [](const Tensor& x) { return at::sigmoid(x); }},
      {{Kind::kTanh}, [](const Tensor& x) { return at::tanh(x); }},
      {{Kind::kGeluTanh}, gelu_by_sigmoid},
      {{Kind::kMish}, [](const Tensor& x) { return at::mish(x); }},
  };
}

}  // namespace

TEST_CASE("the transforms of a tile give its convolution", "[compile][winograd]") {
  torch::manual_seed(1);
  const int64_t kernel = GENERATE(3, 5);
  const int64_t tile = GENERATE_COPY(from_range(winograd::tiles_of(kernel)));
  const int64_t channels = GENERATE(16, 5, 37);  // one register, a part of one, and both
  CAPTURE(kernel, tile, channels);
  const winograd::Form form{tile, kernel};
  const int64_t patch = form.patch();
  const int64_t places = form.places();
  const Tensor g = torch::empty({patch, kernel}, torch::kDouble);
  const auto rows = winograd::weight_transform(form);
  REQUIRE(std::ssize(rows) == patch);
  for (int64_t i = 0; i < patch; ++i) {
    std::copy_n(rows[static_cast<std::size_t>(i)].data(), kernel,
                g.data_ptr<double>() + i * kernel);
  }
  const Tensor x = torch::randn({patch, patch, channels});
  Tensor transformed = torch::full({places, channels}, -1.0F);
  winograd::transform_patch(form, x.data_ptr<float>(), {patch * channels, channels},
                            transformed.data_ptr<float>(), channels, channels);
  const Tensor weight = torch::randn({channels, kernel, kernel});  // of each channel alone
  const Tensor weights = g.matmul(weight.to(torch::kDouble)).matmul(g.t()).flatten(1).t();
  const Tensor products = (transformed * weights).to(torch::kFloat).contiguous();
  const Tensor bias = torch::randn({channels});
  const Tensor expected =
      at::conv2d(x.permute({2, 0, 1}).unsqueeze(0).to(torch::kDouble),
                 weight.unsqueeze(1).to(torch::kDouble), bias.to(torch::kDouble), Sizes{1, 1},
                 Sizes{0, 0}, Sizes{1, 1}, channels)
          .squeeze(0)
          .permute({1, 2, 0});
  // Less than a whole tile, and what it is added to, in a larger image.
  for (const auto& [height, width] :
       {std::pair(tile, tile), std::pair(tile - 1, tile), std::pair(tile, int64_t{1})}) {
    for (const auto& [kind, reference] : activations()) {
      CAPTURE(height, width, static_cast<int>(kind.kind));
      Tensor image = torch::randn({tile + 1, tile + 2, channels});
      const Tensor before = image.clone();
      const winograd::Finish finish{bias.data_ptr<float>(), image.data_ptr<float>(), kind};
      winograd::transform_tile(form, products.data_ptr<float>(), channels, image.data_ptr<float>(),
                               {(tile + 2) * channels, channels}, height, width, channels, finish);
      const auto part = [&, high = height, wide = width](const Tensor& t) {
        return t.narrow(0, 0, high).narrow(1, 0, wide);
      };
      const Tensor whole = before.to(torch::kDouble);
      part(whole).copy_(reference(part(whole) + part(expected)));
      CHECK(distance(image, whole) <= (patch == 8 ? 3e-5 : 1e-5));
      const int64_t below = tile + 1 - height;
      const int64_t beside = tile + 2 - width;
      CHECK(torch::equal(image.narrow(0, height, below), before.narrow(0, height, below)));
      CHECK(torch::equal(image.narrow(1, width, beside), before.narrow(1, width, beside)));
    }
  }
}

TEST_CASE("the activations of our own loops are LibTorch's", "[compile][winograd]") {
  torch::manual_seed(3);
  const Tensor x = torch::cat({torch::randn({1000}) * 4, torch::randn({24}) * 100,
                               torch::tensor({0.0F, -0.0F, 1e30F, -1e30F, 88.5F, -88.5F, 3e-39F})});
  for (const auto& [kind, reference] : activations()) {
    CAPTURE(static_cast<int>(kind.kind));
    const auto activated = [wanted = kind](const Tensor& numbers, int threads = 1) {
      Tensor y = at::empty_like(numbers);
      convkit::detail::activate(wanted, threads, numbers.numel(), numbers.const_data_ptr<float>(),
                                y.mutable_data_ptr<float>());
      return y;
    };
    const Tensor expected = reference(x.to(torch::kDouble));
    const Tensor y = activated(x);
    const Tensor difference = (y - expected).abs();
    // Of each number itself: the exponential function is the roughest part. SiLU at -88.5 is 3e-37, for which there is 0.
    // The power of e in GELU is a product, and has the error of one.
    const double of_power = kind.kind == lanes::LaneActivation::Kind::kGeluTanh ? 1e-7 : 0;
    CHECK((difference <= expected.abs() * 5e-7 + x.abs() * of_power + 1e-36).all().item<bool>());
    CHECK(torch::equal(activated(x, 3), y));
    Tensor in_place = x.clone();
    convkit::detail::activate(kind, 1, x.numel(), in_place.const_data_ptr<float>(),
                              in_place.mutable_data_ptr<float>());
    CHECK(torch::equal(in_place, y));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK(activated(torch::full({20}, nan)).isnan().all().item<bool>());
    CHECK(activated(torch::full({20}, -nan)).isnan().all().item<bool>());
  }
}

TEST_CASE("activations of numbers far below 0 are the module's", "[compile][activations]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  const std::vector<Reference> activations = {
      [](const Tensor& x) { return at::silu(x); },
      [](const Tensor& x) { return at::sigmoid(x); },
      [](const Tensor& x) { return at::mish(x); },
      [](const Tensor& x) { return at::softplus(x); },
      [](const Tensor& x) { return at::softplus(x).log(); },
  };
  const auto module = std::make_shared<torch::nn::IdentityImpl>();
  module->eval();
  for (std::size_t i = 0; i < activations.size(); ++i) {
    const auto forward = [&](const std::vector<Tensor>& x) {
      return std::vector<Tensor>{activations[i](x[0])};
    };
    const auto fast =
        convkit::compile(module, forward, {torch::randn({2, 5, 7, 9})}, {.timing = false});
    for (const double below : {-8, -17, -30, -80}) {
      CAPTURE(i, below);
      const Tensor x = torch::rand({2, 5, 7, 9}) + below;
      CHECK(distance(fast(std::vector<Tensor>{x})[0], activations[i](x)) <= 1e-5);
    }
  }
}

TEST_CASE("activations are our own loops where those are better", "[compile][activations]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  const bool own = lanes::processor() == lanes::Processor::kAvx2 && transposes_on(1);
  const std::vector<std::pair<std::string, torch::nn::AnyModule>> activations = {
      {"silu", torch::nn::AnyModule(torch::nn::SiLU())},
      {"sigmoid", torch::nn::AnyModule(torch::nn::Sigmoid())},
      {"tanh", torch::nn::AnyModule(torch::nn::Tanh())},
      {"gelu", torch::nn::AnyModule(torch::nn::GELU(torch::nn::GELUOptions().approximate("tanh")))},
  };
  const std::vector<std::pair<std::string, torch::nn::AnyModule>> layers = {
      {"conv2d 1x1 + ", torch::nn::AnyModule(Conv2d(Conv2dOptions(16, 24, 1)))},
      {"conv2d 3x3 groups 16 + ",
       torch::nn::AnyModule(Conv2d(Conv2dOptions(16, 16, 3).groups(16)))},
      {"conv2d 3x3 groups 16 + ",
       torch::nn::AnyModule(Conv2d(Conv2dOptions(16, 16, 3).dilation(2).groups(16)))},
      {"linear + ", torch::nn::AnyModule(torch::nn::Linear(24, 20))},
      {"", torch::nn::AnyModule(torch::nn::Identity())},
  };
  for (const auto& [layer, module] : layers) {
    for (const auto& [name, activation] : activations) {
      torch::nn::Sequential net;
      net->push_back(module.clone());
      net->push_back(activation.clone());
      net->eval();
      // Images that are worth it, and others.
      for (const auto& [x, worth] : {std::pair(torch::randn({2, 16, 24, 24}), true),
                                     std::pair(torch::randn({1, 16, 5, 24}), false)}) {
        const Compiled fast = convkit::compile(net, x, {.timing = false});
        CAPTURE(layer, name, convkit::explain(fast).text());
        CHECK(distance(fast(x), net->forward(x)) <= 1e-5);
        const auto steps = plan_of(fast).steps;
        const auto step = std::find_if(steps.begin(), steps.end(),
                                       [&](const auto& each) { return each.what == layer + name; });
        REQUIRE(step != steps.end());
        CHECK(contains(step->how, "own loop") == (own && worth));
        if (!layer.empty()) CHECK(step->fused == std::vector<std::string>{name});
      }
    }
  }
}

TEST_CASE("3x3 and 5x5 convolutions of many channels and tiles take winograd",
          "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  const auto way = [](Conv2d net, const torch::IntArrayRef sizes, CompileOptions options = {}) {
    net->eval();
    options.timing = false;
    return way_of(convkit::compile(net, torch::randn(sizes), options));
  };
  CHECK(way(convolution(64, 64), {1, 64, 16, 16}) == "winograd 4x4");
  CHECK(way(convolution(64, 64), {16, 64, 3, 3}) == "winograd 4x4");
  CHECK(way(convolution(64, 64), {1, 64, 12, 12}) == "channels_last");  // few tiles
  CHECK(way(convolution(64, 64, 2, 5), {1, 64, 16, 16}) == "winograd 4x4");
  CHECK(way(convolution(64, 64, 2, 5), {1, 64, 12, 12}) == "channels_last");
  CHECK(way(convolution(64, 64, 3, 7), {1, 64, 16, 16}) == "channels_last");
  CHECK(way(convolution(16, 512), {1, 16, 16, 16}) == "channels_last");
  CHECK(way(convolution(64, 64), {1, 64, 16, 16}, {.winograd = false}) == "channels_last");
  CHECK(way(convolution(64, 64), {1, 64, 16, 16}, {.dtype = torch::kBFloat16}) == "channels_last");
  CHECK(way(Conv2d(Conv2dOptions(64, 64, 3).stride(2)), {1, 64, 33, 33}) == "channels_last");
  CHECK(way(Conv2d(Conv2dOptions(64, 64, 3).dilation(2)), {1, 64, 33, 33}) == "channels_last");
}

TEST_CASE("winograd knows the usual activations", "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(4);
  const Tensor x = torch::randn({1, 64, 16, 16}) * 3;
  const auto follows = [&](auto activation, const std::string& way) {
    torch::nn::Sequential net(convolution(64, 64), activation);
    net->eval();
    const Compiled fast = convkit::compile(net, x, {.timing = false});
    CHECK(way_of(fast) == way);
    if (way.starts_with("winograd")) {
      CHECK(contains(convkit::explain(fast).text(), way));
      CHECK(plan_of(fast).steps.size() <= 3);  // with the transpositions: the activation is in it
    }
    // The numbers before the activation are off by 3e-6 of their largest one, of which a Hardtanh cuts off nine
    // tenths.
    CHECK(distance(fast(x), net->forward(x)) <= 3e-5);
  };
  follows(torch::nn::ReLU(), "winograd 4x4");
  follows(torch::nn::ReLU6(), "winograd 4x4");
  follows(torch::nn::LeakyReLU(torch::nn::LeakyReLUOptions().negative_slope(0.2)), "winograd 4x4");
  follows(torch::nn::SiLU(), "winograd 4x4");
  follows(convkit::Hardswish(), "winograd 4x4");
  follows(torch::nn::Hardtanh(torch::nn::HardtanhOptions().min_val(-0.5).max_val(0.25)),
          "winograd 4x4");
  follows(torch::nn::ELU(), "channels_last");
}

TEST_CASE("winograd rounds about as direct convolution does", "[compile][winograd]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(2);
  const int64_t kernel = GENERATE(3, 5);
  for (const int64_t channels : {64, 512}) {
    for (const int64_t padding : {0, 1, 2}) {
      CAPTURE(kernel, channels, padding);
      Conv2d net = convolution(channels, 72, padding, kernel);
      const Tensor x = torch::randn({2, channels, 17, 22}).relu();
      const Compiled fast = convkit::compile(net, x, {.timing = false});
      REQUIRE(way_of(fast) == "winograd 4x4");
      const Tensor expected =
          at::conv2d(x.to(torch::kDouble), net->weight.to(torch::kDouble),
                     net->bias.to(torch::kDouble), Sizes{1, 1}, Sizes{padding, padding});
      // 6e-8 is float32's rounding of one sum; the transforms' numbers are up to 10 times the pixels, of the eight
      // rows that a tile of 5x5 sees up to 50 times.
      CHECK(distance(fast(x), expected) <= (kernel == 5 ? 3e-5 : 5e-6));
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
    CHECK(way_of(fast) == (transposes_on(threads) ? "winograd 4x4" : "channels_last"));
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
  REQUIRE(way_of(fast) == "winograd 4x4");
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

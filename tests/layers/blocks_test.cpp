#include <convkit/blocks.h>

#include "support.h"

#include <sstream>

using namespace convkit;

TEST_CASE("ConvBlock has the Q&A's shape, parameters and keys", "[blocks][shape]") {
  ConvBlock block(3, 64);
  CHECK(block(torch::randn({1, 3, 32, 32})).sizes() == torch::IntArrayRef({1, 64, 32, 32}));
  CHECK(parameter_count(*block) == 1920);
  CHECK(support::keys(*block) ==
        std::vector<std::string>{"conv.weight", "conv.bias", "bn.weight", "bn.bias",
                                 "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"});
}

TEST_CASE("ConvBlock takes rectangular kernels, strides and paddings", "[blocks][shape]") {
  const torch::Tensor x = torch::randn({2, 3, 20, 30});
  const auto shape = [&](const ConvBlockOptions& options) {
    return ConvBlock(options)(x).sizes().vec();
  };
  using Shape = std::vector<int64_t>;
  const ConvBlockOptions plain(3, 8);
  CHECK(shape(ConvBlockOptions(3, 8).kernel_size({3, 5}).padding({1, 2})) == Shape{2, 8, 20, 30});
  CHECK(shape(ConvBlockOptions(3, 8).stride({2, 3})) == Shape{2, 8, 10, 10});
  CHECK(shape(ConvBlockOptions(3, 8).padding(0)) == Shape{2, 8, 18, 28});
  CHECK(shape(ConvBlockOptions(3, 8).kernel_size({4, 5}).padding(torch::kSame)) ==
        Shape{2, 8, 20, 30});
  CHECK(shape(ConvBlockOptions(3, 8).padding(torch::kValid)) == Shape{2, 8, 18, 28});
}

TEST_CASE("ConvBlock obeys the laws of every module", "[blocks][clone]") {
  torch::manual_seed(1);
  ConvBlock block(3, 8);
  for (int i = 0; i < 5; ++i) block(torch::randn({2, 3, 9, 9}) + 1);  // alive running statistics
  support::check_module_laws(block, torch::randn({2, 3, 9, 8}));
}

TEST_CASE("ConvBlock prints as in Python, by its own name", "[blocks]") {
  std::ostringstream printed;
  printed << ConvBlock(3, 8);
  CHECK(printed.str() ==
        "ConvBlock(\n"
        "  (conv): torch::nn::Conv2d(3, 8, kernel_size=[3, 3], stride=[1, 1], padding=[1, 1])\n"
        "  (bn): torch::nn::BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=true, "
        "track_running_stats=true)\n"
        "  (relu): torch::nn::ReLU(inplace=true)\n"
        ")");
}

TEST_CASE("ConvBlock refuses impossible options", "[blocks][errors]") {
  const auto error = [](const ConvBlockOptions& options) {
    return support::error([&] { ConvBlock block(options); });
  };
  CHECK(error(ConvBlockOptions(0, 8)) == "ConvBlock: expected in_channels >= 1, got 0");
  CHECK(error(ConvBlockOptions(3, -8)) == "ConvBlock: expected out_channels >= 1, got -8");
  CHECK(error(ConvBlockOptions(3, 8).kernel_size(0)) ==
        "ConvBlock: expected kernel_size >= 1, got 0");
  CHECK(error(ConvBlockOptions(3, 8).stride({1, 0})) == "ConvBlock: expected stride >= 1, got 0");
  CHECK(error(ConvBlockOptions(3, 8).padding({0, -1})) ==
        "ConvBlock: expected padding >= 0, got -1");
  CHECK(error(ConvBlockOptions(3, 8).stride(int64_t{1} << 62)) ==
        "ConvBlock: expected stride <= 2147483647, got 4611686018427387904");
  CHECK(error(ConvBlockOptions(3, 8).padding(torch::kSame).stride(2)) ==
        "ConvBlock: expected stride 1 with padding torch::kSame, got 2");
}

TEST_CASE("ConvBlock refuses an input of another rank or channel count", "[blocks][errors]") {
  ConvBlock block(3, 8);
  const auto error = [&](const torch::Tensor& x) { return support::error([&] { block(x); }); };
  CHECK(error(torch::ones({1, 4, 9, 9})) ==
        "ConvBlock: expected input [N, 3, H, W], got [1, 4, 9, 9]");
  CHECK(error(torch::ones({3, 9, 9})) == "ConvBlock: expected input [N, 3, H, W], got [3, 9, 9]");
  CHECK(error(torch::ones({1, 1, 3, 9, 9})) ==
        "ConvBlock: expected input [N, 3, H, W], got [1, 1, 3, 9, 9]");
  CHECK(error(torch::Tensor()) ==
        "ConvBlock: expected input [N, 3, H, W], got an undefined tensor");
  CHECK(block->bn->num_batches_tracked.item<int64_t>() == 0);
}

TEST_CASE("Conv2dNormActivation's keys shift with what is left out", "[blocks][shape]") {
  const auto keys = [](const Conv2dNormActivationOptions& options) {
    return support::keys(*Conv2dNormActivation(options));
  };
  using Keys = std::vector<std::string>;
  const auto options = [] { return Conv2dNormActivationOptions(3, 4); };
  CHECK(keys(options()) == Keys{"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var",
                                "1.num_batches_tracked"});
  CHECK(keys(options().norm({Norm::kNone}).activation({Activation::kPReLU})) ==
        Keys{"0.weight", "0.bias", "1.weight"});
  CHECK(keys(options().norm({Norm::kInstanceNorm2d}).activation({Activation::kPReLU})) ==
        Keys{"0.weight", "2.weight"});
  CHECK(keys(options().bias(true).norm({Norm::kLayerNorm2d})) ==
        Keys{"0.weight", "0.bias", "1.weight", "1.bias"});
}

TEST_CASE("Conv2dNormActivation obeys the laws of every module", "[blocks][clone]") {
  torch::manual_seed(1);
  Conv2dNormActivation block(3, 8);
  for (int i = 0; i < 5; ++i) block(torch::randn({2, 3, 9, 9}) + 1);  // alive running statistics
  support::check_module_laws(block, torch::randn({2, 3, 9, 8}));
}

TEST_CASE("Conv2dNormActivation refuses impossible options and inputs", "[blocks][errors]") {
  const auto error = [](const Conv2dNormActivationOptions& options) {
    return support::error([&] { Conv2dNormActivation block(options); });
  };
  const auto options = [] { return Conv2dNormActivationOptions(4, 8); };
  CHECK(error(options().kernel_size(0)) ==
        "Conv2dNormActivation: expected kernel_size >= 1, got 0");
  CHECK(error(options().groups(3)) ==
        "Conv2dNormActivation: expected in_channels divisible by groups 3, got 4");
  CHECK(error(options().norm({.kind = Norm::kGroupNorm, .groups = 3})) ==
        "Conv2dNormActivation: expected channels divisible by groups 3, got 8");
  CHECK(support::error([] { Conv2dNormActivation(3, 8)(torch::ones({1, 4, 9, 9})); }) ==
        "Conv2dNormActivation: expected input [N, 3, H, W], got [1, 4, 9, 9]");
  CHECK(support::error([&] {
          Conv2dNormActivation(options().norm({Norm::kInstanceNorm2d}))(torch::ones({1, 4, 1, 1}));
        }) ==
        "Conv2dNormActivation: expected more than one pixel for InstanceNorm2d, got [1, 8, 1, 1]");
}

TEST_CASE("StochasticDepth draws no number where nothing can be dropped", "[blocks]") {
  const torch::Tensor x = torch::ones({4, 2});
  const auto draws = [&](double p, bool training) {
    StochasticDepth depth(p, StochasticDepthMode::kRow);
    depth->train(training);
    torch::manual_seed(3);
    const torch::Tensor y = depth(x);
    const torch::Tensor after = torch::rand({1});
    torch::manual_seed(3);
    return !torch::equal(after, torch::rand({1})) || !y.is_same(x);
  };
  CHECK(draws(0.5, true));
  CHECK_FALSE(draws(0.5, false));
  CHECK_FALSE(draws(0, true));
  CHECK(support::error([] { StochasticDepth(1.5, StochasticDepthMode::kRow); }) ==
        "StochasticDepth: expected 0 <= p <= 1, got 1.5");
}

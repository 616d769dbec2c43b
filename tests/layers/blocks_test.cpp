#include <convkit/blocks.h>

#include "support.h"

#include <cmath>
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

TEST_CASE("the blocks of videos and vectors obey the laws of every module", "[blocks][clone]") {
  torch::manual_seed(1);
  SECTION("Conv3dNormActivation") {
    Conv3dNormActivation block(3, 8);
    for (int i = 0; i < 5; ++i) block(torch::randn({2, 3, 4, 9, 9}) + 1);
    support::check_module_laws(block, torch::randn({2, 3, 4, 9, 8}));
  }
  SECTION("MLP") {
    support::check_module_laws(
        MLP(MLPOptions(6, {8, 5}).norm({Norm::kLayerNorm}).dropout(0.5).inplace(true)),
        torch::randn({4, 6}));
  }
}

TEST_CASE("MLP has Python's keys, and no norm or activation at its end", "[blocks][shape]") {
  const auto keys = [](const MLPOptions& options) { return support::keys(*MLP(options)); };
  using Keys = std::vector<std::string>;
  CHECK(keys(MLPOptions(6, {8, 5})) == Keys{"0.weight", "0.bias", "3.weight", "3.bias"});
  CHECK(keys(MLPOptions(6, {8, 5}).norm({Norm::kLayerNorm}).bias(false)) ==
        Keys{"0.weight", "1.weight", "1.bias", "4.weight"});
  CHECK(keys(MLPOptions(6, {5}).norm({Norm::kLayerNorm})) == Keys{"0.weight", "0.bias"});
  CHECK(MLP(6, std::vector<int64_t>{8, 5})(torch::randn({2, 3, 6})).sizes() ==
        torch::IntArrayRef({2, 3, 5}));
}

TEST_CASE("LayerScale2d's clone is equal and independent", "[blocks][clone]") {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({2, 4, 5, 6});
  LayerScale2d scale(4, 0.5);
  CHECK(torch::equal(scale(x), x * 0.5));
  auto copy = std::dynamic_pointer_cast<LayerScale2dImpl>(scale->clone());
  scale->gamma.fill_(2);
  CHECK(torch::equal(copy->forward(x), x * 0.5));
  const torch::Tensor y = x.clone();
  CHECK(LayerScale2d(4, 0.5, /*inplace=*/true)(y).is_same(y));
  CHECK(torch::equal(y, x * 0.5));
}

TEST_CASE("DropBlock drops squares in training, and draws no number else", "[blocks]") {
  const torch::Tensor x = torch::ones({2, 3, 12, 14});
  const auto draws = [&](double p, bool training) {
    DropBlock2d block(p, 3);
    block->train(training);
    torch::manual_seed(3);
    const torch::Tensor y = block(x);
    const torch::Tensor after = torch::rand({1});
    torch::manual_seed(3);
    return !torch::equal(after, torch::rand({1})) || !y.is_same(x);
  };
  CHECK(draws(0.5, true));
  CHECK_FALSE(draws(0.5, false));
  CHECK_FALSE(draws(0, true));
  torch::manual_seed(3);
  const torch::Tensor y = DropBlock2d(0.05, 3)(x);
  const torch::Tensor dropped = (y == 0).to(torch::kFloat);
  // Every pixel that is dropped is one of a square of 3 x 3 that is dropped.
  const torch::Tensor whole = -torch::max_pool2d(-dropped, 3, 1, 0);
  const torch::Tensor squares =
      torch::max_pool2d(torch::constant_pad_nd(whole, {1, 1, 1, 1}), 3, 1, 1);
  CHECK(torch::equal(squares, dropped));
  CHECK(dropped.sum().item<float>() > 0);
  CHECK(std::abs(y.mean().item<float>() - 1) < 1e-5);  // float32 sums of a thousand numbers
  auto copy = std::dynamic_pointer_cast<DropBlock3dImpl>(DropBlock3d(0.2, 5, true, 0.5)->clone());
  CHECK(copy->p == 0.2);
  CHECK(copy->block_size == 5);
  CHECK(copy->inplace);
  CHECK(copy->eps == 0.5);
}

TEST_CASE("the blocks of videos and vectors refuse impossible options and inputs",
          "[blocks][errors]") {
  const auto error = [](const auto& function) { return support::error(function); };
  const auto options = [] { return Conv3dNormActivationOptions(4, 8); };
  CHECK(error([&] { Conv3dNormActivation(options().kernel_size({3, 0, 3})); }) ==
        "Conv3dNormActivation: expected kernel_size >= 1, got 0");
  CHECK(error([&] { Conv3dNormActivation(options().padding({0, -1, 0})); }) ==
        "Conv3dNormActivation: expected padding >= 0, got -1");
  CHECK(error([&] { Conv3dNormActivation(options().padding(torch::kSame).stride({1, 2, 1})); }) ==
        "Conv3dNormActivation: expected stride 1 with padding torch::kSame, got 2");
  CHECK(error([&] { Conv3dNormActivation(options().groups(3)); }) ==
        "Conv3dNormActivation: expected in_channels divisible by groups 3, got 4");
  CHECK(error([] { Conv3dNormActivation(4, 8)(torch::ones({1, 4, 9, 9})); }) ==
        "Conv3dNormActivation: expected input [N, 4, T, H, W], got [1, 4, 9, 9]");
  CHECK(error([&] {
          Conv3dNormActivation(options().norm({Norm::kInstanceNorm3d}))(
              torch::ones({1, 4, 1, 1, 1}));
        }) ==
        "Conv3dNormActivation: expected more than one pixel for InstanceNorm3d, got [1, 8, 1, 1, "
        "1]");
  using Channels = std::vector<int64_t>;
  CHECK(error([] { MLP(0, Channels{4}); }) == "MLP: expected in_channels >= 1, got 0");
  CHECK(error([] { MLP(4, Channels{}); }) ==
        "MLP: expected at least one of hidden_channels, got none");
  CHECK(error([] { MLP(4, Channels{4, -1}); }) == "MLP: expected hidden_channels >= 1, got -1");
  CHECK(error([] { MLP(MLPOptions(4, {4}).activation({Activation::kNone})); }) ==
        "MLP: expected an activation, got kNone");
  CHECK(error([] { MLP(MLPOptions(4, {4}).dropout(1.5)); }) ==
        "MLP: expected 0 <= dropout <= 1, got 1.5");
  CHECK(error([] { MLP(4, Channels{4})(torch::ones({4, 3})); }) ==
        "MLP: expected input [..., 4], got [4, 3]");
  CHECK(error([] { MLP(4, Channels{4})(torch::ones({3, 4}, torch::kDouble)); }) ==
        "MLP: expected input of type Float, as its weights, got Double; convert it with "
        "x.to(torch::kFloat)");
  CHECK(error([] { LayerScale2d(0); }) == "LayerScale2d: expected dim >= 1, got 0");
  CHECK(error([] { LayerScale2d(4)(torch::ones({1, 3, 5, 5})); }) ==
        "LayerScale2d: expected input [N, 4, H, W], got [1, 3, 5, 5]");
  CHECK(error([] { DropBlock2d(-0.5, 3); }) == "DropBlock2d: expected 0 <= p <= 1, got -0.5");
  CHECK(error([] { DropBlock2d(0.5, 0); }) == "DropBlock2d: expected block_size >= 1, got 0");
  CHECK(error([] { DropBlock3d(0.5, 3, false, -1); }) == "DropBlock3d: expected eps >= 0, got -1");
  CHECK(error([] { DropBlock2d(0.5, 4)(torch::ones({1, 2, 9, 9})); }) ==
        "DropBlock2d: expected an odd block_size, got 4 for an input [1, 2, 9, 9]");
  CHECK(error([] { DropBlock2d(0.5, 3)(torch::ones({2, 9, 9})); }) ==
        "DropBlock2d: expected input [N, C, H, W], got [2, 9, 9]");
  CHECK(error([] { DropBlock3d(0.5, 3)(torch::ones({1, 2, 9, 9})); }) ==
        "DropBlock3d: expected input [N, C, T, H, W], got [1, 2, 9, 9]");
}

#include <convkit/separable.h>

#include "support.h"

using namespace convkit;

TEST_CASE("SeparableConv2d has the Q&A's shape, keys and parameters", "[separable][shape]") {
  SeparableConv2d conv(64, 128);
  CHECK(conv(torch::randn({1, 64, 32, 32})).sizes() == torch::IntArrayRef({1, 128, 32, 32}));
  CHECK(conv(torch::randn({64, 32, 32})).sizes() == torch::IntArrayRef({128, 32, 32}));
  CHECK(support::keys(*conv) == std::vector<std::string>{"depthwise.weight", "depthwise.bias",
                                                         "pointwise.weight", "pointwise.bias"});
  const auto count = [](bool depthwise_bias, bool pointwise_bias) {
    return parameter_count(*SeparableConv2d(SeparableConv2dOptions(64, 128)
                                                .depthwise_bias(depthwise_bias)
                                                .pointwise_bias(pointwise_bias)));
  };
  CHECK(count(true, true) == 8960);
  CHECK(count(true, false) == 8832);
  CHECK(count(false, true) == 8896);
  CHECK(count(false, false) == 8768);
}

TEST_CASE("SeparableConv2d puts the filters of one input channel next to each other",
          "[separable][shape]") {
  SeparableConv2d conv(SeparableConv2dOptions(2, 5).depth_multiplier(3).stride(2).dilation({1, 2}));
  CHECK(conv->depthwise->weight.sizes() == torch::IntArrayRef({6, 1, 3, 3}));
  CHECK(conv->pointwise->weight.sizes() == torch::IntArrayRef({5, 6, 1, 1}));
  CHECK(conv(torch::randn({1, 2, 12, 12})).sizes() == torch::IntArrayRef({1, 5, 6, 5}));

  torch::Tensor x = torch::zeros({1, 2, 12, 12});
  x[0][1] = 1;  // only the second input channel
  const torch::Tensor between = conv->depthwise(x) - conv->depthwise->bias.view({1, -1, 1, 1});
  for (int64_t channel = 0; channel < 6; ++channel) {
    CHECK((between[0][channel].abs().max().item<float>() > 1e-3F) == (channel >= 3));
  }
}

TEST_CASE("SeparableConv2d obeys the laws of every module", "[separable][clone]") {
  torch::manual_seed(1);
  support::check_module_laws(SeparableConv2d(4, 6), torch::randn({2, 4, 9, 8}));
}

TEST_CASE("SeparableConv2d refuses impossible options and inputs", "[separable][errors]") {
  const auto error = [](const SeparableConv2dOptions& options) {
    return support::error([&] { SeparableConv2d conv(options); });
  };
  CHECK(error(SeparableConv2dOptions(0, 8)) == "SeparableConv2d: expected in_channels >= 1, got 0");
  CHECK(error(SeparableConv2dOptions(4, 0)) ==
        "SeparableConv2d: expected out_channels >= 1, got 0");
  CHECK(error(SeparableConv2dOptions(4, 8).depth_multiplier(0)) ==
        "SeparableConv2d: expected depth_multiplier >= 1, got 0");
  CHECK(error(SeparableConv2dOptions(4, 8).depth_multiplier(int64_t{1} << 30)) ==
        "SeparableConv2d: expected in_channels * depth_multiplier <= 2147483647, got 4294967296");
  CHECK(error(SeparableConv2dOptions(4, 8).kernel_size({3, -3})) ==
        "SeparableConv2d: expected kernel_size >= 1, got -3");
  CHECK(error(SeparableConv2dOptions(4, 8).stride(0)) ==
        "SeparableConv2d: expected stride >= 1, got 0");
  CHECK(error(SeparableConv2dOptions(4, 8).dilation(0)) ==
        "SeparableConv2d: expected dilation >= 1, got 0");
  CHECK(error(SeparableConv2dOptions(4, 8).padding(-1)) ==
        "SeparableConv2d: expected padding >= 0, got -1");
  CHECK(error(SeparableConv2dOptions(4, 8).padding(torch::kSame).stride({1, 2})) ==
        "SeparableConv2d: expected stride 1 with padding torch::kSame, got 2");

  SeparableConv2d conv(4, 8);
  CHECK(support::error([&] { conv(torch::ones({1, 5, 9, 9})); }) ==
        "SeparableConv2d: expected input [N, 4, H, W] or [4, H, W], got [1, 5, 9, 9]");
  CHECK(support::error([&] { conv(torch::ones({9, 9})); }) ==
        "SeparableConv2d: expected input [N, 4, H, W] or [4, H, W], got [9, 9]");
}

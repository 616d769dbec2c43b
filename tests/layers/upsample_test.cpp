#include <convkit/upsample.h>

#include "support.h"

#include <torch/nn/functional/upsampling.h>
#include <torch/nn/init.h>

#include <catch2/generators/catch_generators.hpp>

using namespace convkit;

TEST_CASE("Upsampler is the Q&A's upconv", "[upsample][shape]") {
  Upsampler upconv(64, 32);
  CHECK(upconv(torch::randn({1, 64, 16, 16})).sizes() == torch::IntArrayRef({1, 32, 32, 32}));
  CHECK(parameter_count(*upconv) == 32800);
  CHECK(support::keys(*upconv) == std::vector<std::string>{"conv.weight", "conv.bias"});
  CHECK(*upconv->conv_transpose->options.kernel_size() == *torch::ExpandingArray<2>(4));
}

TEST_CASE("a transposed Upsampler gives exactly scale_factor times the size", "[upsample][shape]") {
  for (int64_t scale = 1; scale <= 9; ++scale) {
    Upsampler upsampler(UpsamplerOptions(2, 3).scale_factor(scale).bias(false));
    for (const int64_t height : {1, 2, 5}) {
      CHECK(upsampler(torch::randn({1, 2, height, 7})).sizes() ==
            torch::IntArrayRef({1, 3, scale * height, scale * 7}));
    }
    CHECK(support::keys(*upsampler) == std::vector<std::string>{"conv.weight"});
  }
}

TEST_CASE("Upsampler obeys the laws of every module", "[upsample][clone]") {
  torch::manual_seed(1);
  const auto mode =
      GENERATE(UpsampleMode::kTransposed, UpsampleMode::kBilinear, UpsampleMode::kPixelShuffle);
  support::check_module_laws(Upsampler(UpsamplerOptions(4, 6).mode(mode)),
                             torch::randn({2, 4, 9, 8}));
}

TEST_CASE("Upsampler refuses impossible options and inputs", "[upsample][errors]") {
  const auto error = [](const UpsamplerOptions& options) {
    return support::error([&] { Upsampler upsampler(options); });
  };
  CHECK(error(UpsamplerOptions(0, 8)) == "Upsampler: expected in_channels >= 1, got 0");
  CHECK(error(UpsamplerOptions(4, 0)) == "Upsampler: expected out_channels >= 1, got 0");
  CHECK(error(UpsamplerOptions(4, 8).scale_factor(0)) ==
        "Upsampler: expected scale_factor >= 1, got 0");
  CHECK(error(UpsamplerOptions(4, 8).scale_factor(int64_t{1} << 40)) ==
        "Upsampler: expected scale_factor <= 2147483647, got 1099511627776");
  CHECK(error(UpsamplerOptions(4, 8).scale_factor(int64_t{1} << 30)) ==
        "Upsampler: expected 2 * scale_factor <= 2147483647, got 2147483648");
  CHECK(error(UpsamplerOptions(4, 8).mode(static_cast<UpsampleMode>(9))) ==
        "Upsampler: expected a mode of UpsampleMode, got 9");

  const auto shuffle = UpsamplerOptions(4, 8).mode(UpsampleMode::kPixelShuffle);
  CHECK(error(UpsamplerOptions(shuffle).scale_factor(1 << 15)) ==
        "Upsampler: expected out_channels * scale_factor^2 <= 2147483647, got 8589934592");

  Upsampler upsampler(4, 8);
  CHECK(support::error([&] { upsampler(torch::ones({2, 3, 9, 9})); }) ==
        "Upsampler: expected input [N, 4, H, W], got [2, 3, 9, 9]");
}

TEST_CASE("every mode gives exactly scale_factor times the size, under the key conv",
          "[upsample][shape]") {
  for (const auto mode :
       {UpsampleMode::kTransposed, UpsampleMode::kNearest, UpsampleMode::kNearestExact,
        UpsampleMode::kBilinear, UpsampleMode::kBicubic, UpsampleMode::kPixelShuffle}) {
    for (const int64_t scale : {1, 2, 3}) {
      Upsampler upsampler(UpsamplerOptions(2, 3).scale_factor(scale).mode(mode));
      CHECK(upsampler(torch::randn({2, 2, 5, 7})).sizes() ==
            torch::IntArrayRef({2, 3, scale * 5, scale * 7}));
      CHECK(support::keys(*upsampler) == std::vector<std::string>{"conv.weight", "conv.bias"});
    }
  }
}

TEST_CASE("on a constant image a transposed convolution draws a checkerboard, ICNR none",
          "[upsample]") {
  torch::manual_seed(4);
  const torch::NoGradGuard no_grad;
  const torch::Tensor constant = torch::ones({1, 4, 8, 8});
  // The border sees the padding; inside, how far neighbouring pixels are apart.
  const auto checkerboard = [&](UpsampleMode mode) {
    Upsampler upsampler(UpsamplerOptions(4, 3).mode(mode));
    const torch::Tensor inside = upsampler(constant).slice(2, 4, 12).slice(3, 4, 12);
    return (inside - inside.mean({2, 3}, true)).abs().max().item<float>();
  };
  CHECK(checkerboard(UpsampleMode::kTransposed) > 0.05F);
  CHECK(checkerboard(UpsampleMode::kNearest) < 1e-6F);
  CHECK(checkerboard(UpsampleMode::kBilinear) < 1e-6F);
  CHECK(checkerboard(UpsampleMode::kBicubic) < 1e-6F);
  CHECK(checkerboard(UpsampleMode::kPixelShuffle) < 1e-6F);

  Upsampler shuffle(UpsamplerOptions(4, 3).mode(UpsampleMode::kPixelShuffle));
  torch::nn::init::kaiming_normal_(shuffle->conv->weight);  // without ICNR
  CHECK(shuffle(constant).slice(2, 4, 12).std(2).max().item<float>() > 0.05F);
}

TEST_CASE("upsample_like gives the other tensor's size, odd and smaller ones too",
          "[upsample][shape]") {
  const torch::Tensor x = torch::randn({2, 3, 5, 7});
  for (const int64_t height : {1, 5, 9, 11}) {
    for (const auto mode : {UpsampleMode::kNearest, UpsampleMode::kNearestExact,
                            UpsampleMode::kBilinear, UpsampleMode::kBicubic}) {
      CHECK(upsample_like(x, torch::empty({height, 13}), mode).sizes() ==
            torch::IntArrayRef({2, 3, height, 13}));
    }
  }
  CHECK(torch::equal(upsample_like(x, x), x));
}

TEST_CASE("nothing here warns or throws where torch::nn::functional::interpolate does",
          "[upsample]") {
  struct Counter : c10::WarningHandler {
    void process(const c10::Warning&) override { ++count; }
    int count = 0;
  } warnings;
  const c10::WarningUtils::WarningHandlerGuard guard(&warnings);
  const torch::Tensor x = torch::randn({2, 2, 5, 7});
  for (const auto mode : {UpsampleMode::kNearest, UpsampleMode::kNearestExact,
                          UpsampleMode::kBilinear, UpsampleMode::kBicubic}) {
    Upsampler(UpsamplerOptions(2, 3).mode(mode))(x);
    upsample_like(x, torch::empty({9, 9}), mode);
  }
  for (const UpsampleOptions::mode_t mode :
       {UpsampleOptions::mode_t(torch::kNearest), UpsampleOptions::mode_t(torch::kNearestExact),
        UpsampleOptions::mode_t(torch::kBilinear), UpsampleOptions::mode_t(torch::kArea)}) {
    Upsample upsample(UpsampleOptions().scale_factor({1.5}).mode(mode));
    CHECK(upsample(x).sizes() == torch::IntArrayRef{2, 2, 7, 10});
  }
  CHECK(warnings.count == 0);
  namespace F = torch::nn::functional;
  CHECK_THROWS_AS(F::interpolate(x, F::InterpolateFuncOptions().scale_factor({{2.0}})),
                  std::out_of_range);
}

TEST_CASE("Upsample takes one number for all axes, or one for each", "[upsample]") {
  const torch::Tensor x = torch::randn({2, 3, 5, 7});
  CHECK(Upsample(UpsampleOptions().size({4}))(x).sizes() == torch::IntArrayRef{2, 3, 4, 4});
  CHECK(Upsample(UpsampleOptions().size({4, 6}))(x).sizes() == torch::IntArrayRef{2, 3, 4, 6});
  const Upsample twice(UpsampleOptions().scale_factor({2}));
  CHECK(twice->clone()->as<UpsampleImpl>()->forward(x[0]).sizes() == torch::IntArrayRef{3, 5, 14});
  CHECK(c10::str(*twice) == "Upsample(scale_factor=[2], mode=kNearest)");
  using support::error;
  CHECK(error([&] { Upsample{UpsampleOptions()}; }) ==
        "Upsample: expected either a size or a scale_factor, got none");
  CHECK(error([&] { Upsample(UpsampleOptions().size({3}).scale_factor({2})); }) ==
        "Upsample: expected either a size or a scale_factor, got both");
  CHECK(error([&] { Upsample(UpsampleOptions().scale_factor({-1})); }) ==
        "Upsample: expected scale_factor > 0, got -1");
  CHECK(error([&] { Upsample(UpsampleOptions().size({1, 2, 3}))(x); }) ==
        "Upsample: expected a size of 2 numbers for an input [2, 3, 5, 7], got 3");
}

TEST_CASE("upsample_like refuses other inputs and modes", "[upsample][errors]") {
  const torch::Tensor x = torch::randn({2, 3, 5, 7});
  using support::error;
  CHECK(error([&] { upsample_like(x[0], x); }) ==
        "upsample_like: expected input [N, C, H, W], got [3, 5, 7]");
  CHECK(error([&] { upsample_like(x, torch::ones(3)); }) ==
        "upsample_like: expected a reference [..., H, W], got [3]");
  CHECK(error([&] { upsample_like(x, torch::ones({0, 3})); }) ==
        "upsample_like: expected a height and width >= 1, got [0, 3]");
  CHECK(error([&] { upsample_like(x, x, UpsampleMode::kPixelShuffle); }) ==
        "upsample_like: expected a mode that interpolates, got pixel-shuffle");
}

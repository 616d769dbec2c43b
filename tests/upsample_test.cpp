#include <convkit/upsample.h>

#include "support.h"

using namespace convkit;

TEST_CASE("Upsampler is the Q&A's upconv", "[upsample][shape]") {
  Upsampler upconv(64, 32);
  CHECK(upconv(torch::randn({1, 64, 16, 16})).sizes() == torch::IntArrayRef({1, 32, 32, 32}));
  CHECK(parameter_count(*upconv) == 32800);
  CHECK(support::keys(*upconv) == std::vector<std::string>{"conv.weight", "conv.bias"});
  CHECK(*upconv->conv->options.kernel_size() == *torch::ExpandingArray<2>(4));
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
  support::check_module_laws(Upsampler(4, 6), torch::randn({2, 4, 9, 8}));
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

  Upsampler upsampler(4, 8);
  CHECK(support::error([&] { upsampler(torch::ones({2, 3, 9, 9})); }) ==
        "Upsampler: expected input [N, 4, H, W] or [4, H, W], got [2, 3, 9, 9]");
}

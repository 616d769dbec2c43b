#include <convkit/init.h>

#include "support.h"

using namespace convkit;

TEST_CASE("icnr_ gives the pixels of one output the same filter", "[init]") {
  torch::manual_seed(2);
  torch::Tensor weight = torch::zeros({12, 3, 3, 3});
  CHECK(icnr_(weight, 2).is_same(weight));
  for (int64_t channel = 0; channel < 12; ++channel) {
    CHECK(torch::equal(weight[channel], weight[channel / 4 * 4]));
  }
  CHECK_FALSE(torch::equal(weight[0], weight[4]));
  // Kaiming: the variance is 2 / fan_in, here of 3 * 27 numbers.
  CHECK(std::abs(weight.var().item<double>() / (2.0 / 27) - 1) < 0.5);
}

TEST_CASE("icnr_ draws the same numbers for every type", "[init]") {
  torch::Tensor single = torch::zeros({8, 3, 3, 3});
  torch::Tensor twice = torch::zeros({8, 3, 3, 3}, torch::kDouble);
  torch::manual_seed(5);
  icnr_(single, 2);
  torch::manual_seed(5);
  icnr_(twice, 2);
  CHECK(torch::equal(twice, single.to(torch::kDouble)));
}

TEST_CASE("icnr_ refuses what it cannot fill", "[init][errors]") {
  CHECK(support::error([] { icnr_(torch::zeros({12, 3, 3, 3}), 0); }) ==
        "icnr_: expected scale_factor >= 1, got 0");
  CHECK(support::error([] { icnr_(torch::zeros({10, 3, 3, 3}), 2); }) ==
        "icnr_: expected out_channels divisible by scale_factor^2 = 4, got 10");
  CHECK(support::error([] { icnr_(torch::zeros({12, 3}), 2); }) ==
        "icnr_: expected the weight [out_channels, in_channels, kernel_height, kernel_width] of a "
        "Conv2d, got [12, 3]");
}

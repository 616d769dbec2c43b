#include <convkit/conv.h>

#include "support.h"

using namespace convkit;

TEST_CASE("the five kinds have the Q&A's shapes and parameter counts", "[conv][shape]") {
  const torch::Tensor image = torch::randn({1, 3, 32, 32});
  const torch::Tensor features = torch::randn({1, 64, 32, 32});
  CHECK(standard_conv2d(3, 64)(image).sizes() == torch::IntArrayRef({1, 64, 32, 32}));
  CHECK(strided_conv2d(3, 64)(image).sizes() == torch::IntArrayRef({1, 64, 16, 16}));
  CHECK(dilated_conv2d(3, 64)(image).sizes() == torch::IntArrayRef({1, 64, 32, 32}));
  CHECK(depthwise_conv2d(64)(features).sizes() == torch::IntArrayRef({1, 64, 32, 32}));
  CHECK(pointwise_conv2d(64, 128)(features).sizes() == torch::IntArrayRef({1, 128, 32, 32}));

  CHECK(parameter_count(*standard_conv2d(3, 64)) == 1792);
  CHECK(parameter_count(*strided_conv2d(3, 64)) == 1792);
  CHECK(parameter_count(*dilated_conv2d(3, 64)) == 1792);
  CHECK(parameter_count(*depthwise_conv2d(64)) == 640);
  CHECK(parameter_count(*pointwise_conv2d(64, 128)) == 8320);
}

TEST_CASE("strided_conv2d rounds up, dilated_conv2d keeps the size", "[conv][shape]") {
  const torch::Tensor x = torch::randn({2, 3, 13, 10});
  for (const int64_t n : {1, 2, 3, 4}) {
    CHECK(strided_conv2d(3, 5, n)(x).sizes() ==
          torch::IntArrayRef({2, 5, (13 + n - 1) / n, (10 + n - 1) / n}));
    CHECK(dilated_conv2d(3, 5, n)(x).sizes() == torch::IntArrayRef({2, 5, 13, 10}));
  }
}

TEST_CASE("the five kinds refuse impossible options", "[conv][errors]") {
  CHECK(support::error([] { standard_conv2d(0, 64); }) ==
        "standard_conv2d: expected in_channels >= 1, got 0");
  CHECK(support::error([] { standard_conv2d(3, -1); }) ==
        "standard_conv2d: expected out_channels >= 1, got -1");
  CHECK(support::error([] { strided_conv2d(3, 64, 0); }) ==
        "strided_conv2d: expected stride >= 1, got 0");
  CHECK(support::error([] { strided_conv2d(3, 64, int64_t{1} << 62); }) ==
        "strided_conv2d: expected stride <= 2147483647, got 4611686018427387904");
  CHECK(support::error([] { dilated_conv2d(3, 64, -2); }) ==
        "dilated_conv2d: expected dilation >= 1, got -2");
  CHECK(support::error([] { depthwise_conv2d(0); }) ==
        "depthwise_conv2d: expected in_channels >= 1, got 0");
  CHECK(support::error([] { pointwise_conv2d(3, int64_t{1} << 31); }) ==
        "pointwise_conv2d: expected out_channels <= 2147483647, got 2147483648");
}

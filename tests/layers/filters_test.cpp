#include <convkit/filters.h>

#include "support.h"

#include <limits>
#include <sstream>

using namespace convkit;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}

TEST_CASE("derivatives answer 0 to a constant, and to a slope alike at every pixel", "[filters]") {
  const torch::Tensor constant = torch::full({1, 1, 12, 12}, 3.F);
  const torch::Tensor slope = torch::arange(12.F).expand({1, 1, 12, 12}).contiguous();
  for (const torch::Tensor& kernel : {sobel_kernel(Axis::kX), sobel_kernel(Axis::kX, 5),
                                      sobel_kernel(Axis::kX, 7), scharr_kernel(Axis::kX)}) {
    CHECK(filter2d(constant, kernel).abs().max().item<float>() == 0);
    const torch::Tensor inside = filter2d(slope, kernel).slice(3, 4, 8);
    CHECK(inside.min().item<float>() > 0);
    CHECK(inside.min().item<float>() == inside.max().item<float>());
    CHECK(filter2d(slope, kernel.t()).slice(3, 4, 8).abs().max().item<float>() == 0);
  }
  CHECK(laplacian_kernel(5).sum().item<float>() == 0);
}

TEST_CASE("smoothing kernels sum to 1 and are symmetric", "[filters]") {
  for (const torch::Tensor& kernel :
       {gaussian_kernel(5, 1.5), gaussian_kernel({7, 3}, {2, 0.5}), box_kernel({3, 5})}) {
    CHECK(std::abs(kernel.sum().item<float>() - 1) < 1e-6F);
    CHECK(torch::equal(kernel, kernel.flip({0, 1})));
  }
  CHECK(torch::allclose(gaussian_kernel(3, 1e300), box_kernel(3)));  // 1/3 1/3 is rounded once more
}

TEST_CASE("a Gabor kernel answers to its own texture most", "[filters]") {
  const torch::Tensor x = torch::arange(24.F).expand({24, 24});
  const torch::Tensor stripes = torch::cos(x * (2 * std::numbers::pi / 4)).view({1, 1, 24, 24});
  const auto response = [&](double theta, double lambda) {
    const Gabor gabor{.kernel_size = 9, .sigma = 2, .theta = theta, .lambda = lambda, .psi = 0};
    return filter2d(stripes, gabor_kernel(gabor)).abs().slice(3, 6, 18).max().item<float>();
  };
  CHECK(response(0, 4) > 3 * response(std::numbers::pi / 2, 4));
  CHECK(response(0, 4) > 3 * response(0, 16));
}

TEST_CASE("filter2d keeps the size for even kernels, and the input's type", "[filters][shape]") {
  const torch::Tensor x = torch::randn({2, 3, 9, 8}, torch::kDouble);
  const torch::Tensor y = filter2d(x, torch::randn({2, 4}));
  CHECK(y.sizes() == x.sizes());
  CHECK(y.scalar_type() == torch::kDouble);
}

TEST_CASE("kernels and filter2d refuse impossible options", "[filters][errors]") {
  using support::error;
  CHECK(error([] { sobel_kernel(Axis::kX, 4); }) ==
        "sobel_kernel: expected an odd kernel_size >= 3, got 4");
  CHECK(error([] { laplacian_kernel(1); }) ==
        "laplacian_kernel: expected an odd kernel_size >= 3, got 1");
  CHECK(error([] { gaussian_kernel({3, 0}, 1); }) ==
        "gaussian_kernel: expected kernel_size >= 1, got 0");
  CHECK(error([] { gaussian_kernel(3, {1, 0}); }) ==
        "gaussian_kernel: expected a positive, finite sigma, got 0");
  CHECK(error([] { gaussian_kernel(3, kNaN); }) ==
        "gaussian_kernel: expected a positive, finite sigma, got nan");
  CHECK(error([] { box_kernel(2); }) == "box_kernel: expected an odd kernel_size >= 1, got 2");
  CHECK(error([] { gabor_kernel({.kernel_size = 3, .sigma = -1}); }) ==
        "gabor_kernel: expected a positive, finite sigma, got -1");
  CHECK(error([] { gabor_kernel({.kernel_size = 3, .sigma = 1, .theta = kNaN}); }) ==
        "gabor_kernel: expected a finite theta, got nan");
  CHECK(error([] { filter2d(torch::ones({3, 9, 9}), box_kernel(3)); }) ==
        "filter2d: expected input [N, C, H, W], got [3, 9, 9]");
  CHECK(error([] { filter2d(torch::ones({1, 3, 9, 9}), torch::ones({1, 3, 3})); }) ==
        "filter2d: expected a kernel [height, width], got [1, 3, 3]");
}

TEST_CASE("BlurPool2d halves the size, and its filter is in no state_dict", "[filters][shape]") {
  BlurPool2d pool;
  const torch::Tensor x = torch::randn({2, 5, 9, 8});
  CHECK(pool(x).sizes() == torch::IntArrayRef({2, 5, 5, 4}));
  CHECK(support::keys(*pool).empty());
  CHECK(parameter_count(*pool) == 0);
  CHECK(pool->filt.sum().item<float>() == 1);
  const torch::Tensor constant = torch::full({1, 2, 6, 6}, 3.F);
  CHECK(torch::equal(pool(constant), torch::full({1, 2, 3, 3}, 3.F)));

  std::ostringstream printed;
  printed << pool << BlurPool2d(BlurPool2dOptions().channels(4).filt_size(5));
  CHECK(printed.str() ==
        "BlurPool2d(filt_size=3, stride=2)"
        "BlurPool2d(channels=4, filt_size=5, stride=2)");
}

TEST_CASE("BlurPool2d's filter follows to() and clone()", "[filters][clone]") {
  BlurPool2d pool(BlurPool2dOptions().channels(4));
  const torch::Tensor x = torch::randn({1, 4, 8, 8});
  const auto copy = std::dynamic_pointer_cast<BlurPool2dImpl>(pool->clone());
  CHECK(torch::equal(copy->forward(x), pool(x)));
  pool->to(torch::kDouble);
  CHECK(pool->filt.scalar_type() == torch::kDouble);
  CHECK(copy->filt.scalar_type() == torch::kFloat);
  // Sums near 0 have a larger relative error.
  CHECK(
      torch::allclose(pool(x.to(torch::kDouble)).to(torch::kFloat), copy->forward(x), 1e-5, 1e-6));
}

TEST_CASE("BlurPool2d refuses impossible options and inputs", "[filters][errors]") {
  const auto error = [](const BlurPool2dOptions& options) {
    return support::error([&] { BlurPool2d pool(options); });
  };
  CHECK(error(BlurPool2dOptions().channels(0)) == "BlurPool2d: expected channels >= 1, got 0");
  CHECK(error(BlurPool2dOptions().stride(0)) == "BlurPool2d: expected stride >= 1, got 0");
  CHECK(error(BlurPool2dOptions().filt_size(1)) ==
        "BlurPool2d: expected 2 <= filt_size <= 64, got 1");
  BlurPool2d pool(BlurPool2dOptions().channels(4));
  CHECK(support::error([&] { pool(torch::ones({1, 3, 8, 8})); }) ==
        "BlurPool2d: expected input [N, 4, H, W], got [1, 3, 8, 8]");
}

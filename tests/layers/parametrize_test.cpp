#include <convkit/parametrize.h>
#include <convkit/state_dict.h>

#include "support.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

using namespace convkit;
namespace nn = torch::nn;

namespace {

nn::Conv2d small_conv() {
  return nn::Conv2d(nn::Conv2dOptions(3, 4, 3).padding(1));
}

struct NormedImpl : Block<NormedImpl> {
  NormedImpl() { NormedImpl::reset(); }
  void reset() override { conv = register_module("conv", SpectralNorm(small_conv())); }
  torch::Tensor forward(const torch::Tensor& x) override { return conv(x); }
  SpectralNorm conv{nullptr};
};
CONVKIT_MODULE(Normed);

}  // namespace

TEST_CASE("weight and spectral norm obey the laws of every module", "[parametrize][clone]") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 3, 6, 5});
  SECTION("weight norm") {
    support::check_module_laws(WeightNorm(small_conv()), x);
  }
  SECTION("legacy weight norm") {
    support::check_module_laws(WeightNorm(small_conv(), WeightNormOptions().legacy(true)), x);
  }
  SECTION("spectral norm") {
    support::check_module_laws(SpectralNorm(small_conv()), x);
  }
  SECTION("legacy spectral norm") {
    support::check_module_laws(SpectralNorm(small_conv(), SpectralNormOptions().legacy(true)), x);
  }
}

TEST_CASE("a clone inside of a module has its own weights and vectors", "[parametrize][clone]") {
  torch::manual_seed(2);
  Normed holder;
  const torch::Tensor x = torch::randn({1, 3, 5, 5});
  holder->train();
  holder(x);
  const auto copy = std::dynamic_pointer_cast<NormedImpl>(holder->clone());
  CHECK(torch::equal(copy->conv->u, holder->conv->u));
  copy->forward(x);  // brings its own u nearer
  CHECK_FALSE(torch::equal(copy->conv->u, holder->conv->u));
  CHECK(copy->named_buffers()["conv.parametrizations.weight.0._u"].is_same(copy->conv->u));
  copy->to(torch::kDouble);
  CHECK(copy->conv->original.scalar_type() == torch::kDouble);
  CHECK(holder->conv->original.scalar_type() == torch::kFloat);
}

TEST_CASE("the norms of weight norm are those of its parameter g", "[parametrize]") {
  torch::manual_seed(3);
  WeightNorm norm(small_conv());
  const torch::NoGradGuard no_grad;
  norm->g.fill_(2);
  CHECK(torch::allclose(norm->weight().flatten(1).norm(2, {1}), torch::full({4}, 2.0)));
  WeightNorm whole(small_conv(), WeightNormOptions().dim(std::nullopt));
  CHECK(whole->g.sizes() == torch::IntArrayRef{});
}

TEST_CASE("spectral norm nears the largest singular value in training alone", "[parametrize]") {
  torch::manual_seed(4);
  SpectralNorm norm(nn::Linear(6, 5), SpectralNormOptions().legacy(true));
  const torch::Tensor x = torch::randn({2, 6});
  const auto largest = [&] {
    return std::get<1>(torch::linalg_svd(norm->weight().detach()))[0].item<double>();
  };
  norm->eval();
  const torch::Tensor y = norm(x);
  CHECK(torch::equal(norm(x), y));
  norm->train();
  for (int i = 0; i < 100; ++i) norm(x);
  CHECK(std::abs(largest() - 1) < 1e-3);
}

TEST_CASE("weight norm loads the keys of Python's older function", "[parametrize]") {
  torch::manual_seed(5);
  WeightNorm older(small_conv(), WeightNormOptions().legacy(true));
  WeightNorm norm(small_conv());
  CHECK(support::keys(*older) == std::vector<std::string>{"bias", "weight_g", "weight_v"});
  load_state_dict(*norm, state_dict(*older));
  CHECK(torch::equal(norm->weight(), older->weight()));
}

TEST_CASE("weight and spectral norm refuse what they cannot be", "[parametrize][errors]") {
  CHECK(support::error([] { WeightNorm(nn::ReLU()); }) ==
        "WeightNorm: expected one of torch::nn's convolutions or its Linear, got "
        "torch::nn::ReLUImpl");
  CHECK(support::error([] { WeightNorm(small_conv(), WeightNormOptions().dim(4)); }) ==
        "WeightNorm: expected a dim of [4, 3, 3, 3], got 4");
  CHECK(support::error([] {
          SpectralNorm(small_conv(), SpectralNormOptions().n_power_iterations(0));
        }) == "SpectralNorm: expected n_power_iterations >= 1, got 0");
}

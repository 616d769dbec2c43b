#include <convkit/norm.h>

#include "support.h"

#include <torch/nn/modules/batchnorm.h>

using namespace convkit;

TEST_CASE("norms obey the laws of every module", "[norm][clone]") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 4, 9, 8});
  LayerNorm2d layer_norm(4);
  GlobalResponseNorm response(4, 1e-6, /*channels_last=*/false);
  for (const torch::Tensor& parameter : {response->weight, response->bias}) {
    const torch::NoGradGuard no_grad;
    torch::nn::init::normal_(parameter);
  }
  SECTION("LayerNorm2d") {
    support::check_module_laws(layer_norm, x);
  }
  SECTION("GlobalResponseNorm") {
    support::check_module_laws(response, x);
  }
}

TEST_CASE("FrozenBatchNorm2d takes a batch norm's state, and has no parameters", "[norm]") {
  torch::manual_seed(1);
  torch::nn::BatchNorm2d batch_norm(4);
  batch_norm->forward(torch::randn({8, 4, 5, 5}) * 2 + 1);
  batch_norm->eval();
  FrozenBatchNorm2d frozen(4);
  const auto result = load_state_dict(*frozen, state_dict(*batch_norm));
  CHECK(result.unexpected_keys.empty());
  CHECK(frozen->parameters().empty());
  CHECK(support::keys(*frozen) ==
        std::vector<std::string>{"weight", "bias", "running_mean", "running_var"});
  const torch::Tensor x = torch::randn({2, 4, 3, 3});
  // Another order of the same operations.
  CHECK(torch::allclose(frozen(x), batch_norm(x), 1e-5, 1e-6));
  CHECK(torch::equal(frozen->clone()->as<FrozenBatchNorm2dImpl>()->forward(x), frozen(x)));
}

TEST_CASE("norms refuse impossible options and inputs", "[norm][errors]") {
  CHECK(support::error([] { LayerNorm2d(0); }) == "LayerNorm2d: expected channels >= 1, got 0");
  CHECK(support::error([] { FrozenBatchNorm2d(-1); }) ==
        "FrozenBatchNorm2d: expected num_features >= 1, got -1");
  CHECK(support::error([] { GlobalResponseNorm(0); }) ==
        "GlobalResponseNorm: expected dim >= 1, got 0");
  CHECK(support::error([] { LayerNorm2d(4)(torch::ones({1, 3, 5, 5})); }) ==
        "LayerNorm2d: expected input [N, 4, H, W], got [1, 3, 5, 5]");
  CHECK(support::error([] { GlobalResponseNorm(4)(torch::ones({1, 4, 5, 5})); }) ==
        "GlobalResponseNorm: expected input [N, H, W, 4], got [1, 4, 5, 5]");
  CHECK(support::error([] { GlobalResponseNorm(4, 1e-6, false)(torch::Tensor()); }) ==
        "GlobalResponseNorm: expected input [N, 4, H, W], got an undefined tensor");
  CHECK(support::error([] { make_norm({.kind = Norm::kGroupNorm, .groups = 3}, 4); }) ==
        "make_norm: expected channels divisible by groups 3, got 4");
  CHECK(support::error([] { make_norm({.kind = Norm::kGroupNorm, .groups = 0}, 4); }) ==
        "make_norm: expected groups >= 1, got 0");
  CHECK(support::error([] { make_norm({static_cast<Norm::Kind>(99)}, 4); }) ==
        "make_norm: expected one of Norm's kinds, got 99");
  CHECK(make_norm({Norm::kNone}, 4) == nullptr);
}

#include <convkit/convkit.h>

#include "support.h"

#include <torch/nn/modules/batchnorm.h>

#include <limits>

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
  SECTION("BatchNormAct2d") {
    BatchNormAct2d norm(4);
    for (int i = 0; i < 5; ++i) norm(torch::randn({2, 4, 9, 9}) + 1);
    support::check_module_laws(norm, x);
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
  CHECK(support::error([] { BatchNormAct2d(0); }) ==
        "BatchNormAct2d: expected num_features >= 1, got 0");
  CHECK(support::error([] { BatchNormAct2d(BatchNormAct2dOptions(4).eps(-1)); }) ==
        "BatchNormAct2d: expected eps >= 0, got -1");
  CHECK(support::error([] { BatchNormAct2d(4)(torch::ones({1, 3, 5, 5})); }) ==
        "BatchNormAct2d: expected input [N, 4, H, W], got [1, 3, 5, 5]");
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
  const torch::Tensor x = torch::ones({1, 4, 5, 5});
  CHECK(support::error([&] { GlobalResponseNorm(4, 1e-6, false)(x.to(torch::kDouble)); }) ==
        "GlobalResponseNorm: expected input of type Float, as its weights, got Double; convert it "
        "with x.to(torch::kFloat)");
  CHECK(support::error([&] { GlobalResponseNorm(4, 1e-6, false)(x.to(torch::kMeta)); }) ==
        "GlobalResponseNorm: expected input on cpu, where its weights are, got meta; move it with "
        "x.to(cpu)");
  CHECK(support::error([] { GlobalResponseNorm(4)(torch::ones({2, 0, 5, 4})); }) ==
        "GlobalResponseNorm: expected a height and width >= 1, got [2, 0, 5, 4]");
}

TEST_CASE("every norm, and what is made of one, refuses a negative eps", "[norm][errors]") {
  const auto error = [](auto f) { return support::error(f); };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(error([] { LayerNorm2d(4, -1e-5); }) == "LayerNorm2d: expected eps >= 0, got -1e-05");
  CHECK(error([&] { LayerNorm2d(4, nan); }) == "LayerNorm2d: expected eps >= 0, got nan");
  CHECK(error([] { LayerNorm2d(4, 0); }) == "no error");
  CHECK(error([] { FrozenBatchNorm2d(4, -1); }) == "FrozenBatchNorm2d: expected eps >= 0, got -1");
  CHECK(error([] { GlobalResponseNorm(4, -1); }) ==
        "GlobalResponseNorm: expected eps >= 0, got -1");
  CHECK(error([] { StdConv2d(StdConv2dOptions(4, 4, 3).eps(-1)); }) ==
        "StdConv2d: expected eps >= 0, got -1");
  CHECK(error([&] { ScaledStdConv2d(ScaledStdConv2dOptions(4, 4, 3).eps(nan)); }) ==
        "ScaledStdConv2d: expected eps >= 0, got nan");
  for (const auto kind : {Norm::kBatchNorm2d, Norm::kGroupNorm, Norm::kInstanceNorm2d,
                          Norm::kLayerNorm2d, Norm::kFrozenBatchNorm2d}) {
    const Norm norm{.kind = kind, .eps = -1e-5, .groups = 1};
    INFO(static_cast<int>(kind));
    CHECK(error([&] { make_norm(norm, 4); }) == "make_norm: expected eps >= 0, got -1e-05");
    CHECK(error([&] { Conv2dNormActivation(Conv2dNormActivationOptions(4, 4).norm(norm)); }) ==
          "Conv2dNormActivation: expected eps >= 0, got -1e-05");
    CHECK(error([&] { PSPModule(4, std::vector<int64_t>{2}, norm); }) ==
          "PSPModule: expected eps >= 0, got -1e-05");
    CHECK(error([&] { UnetDecoderBlock(UnetDecoderBlockOptions(4, 0, 4).use_norm(norm)); }) ==
          "UnetDecoderBlock: expected eps >= 0, got -1e-05");
    CHECK(error([&] { FeaturePyramidNetwork(std::vector<int64_t>{4}, 4, norm); }) ==
          "Conv2dNormActivation: expected eps >= 0, got -1e-05");
    CHECK(error([&] {
            models::resnet::BasicBlock(models::resnet::BlockOptions(4, 4).norm_layer(norm));
          }) == "BasicBlock: expected eps >= 0, got -1e-05");
    CHECK(error([&] { models::resnet18({.norm_layer = norm}); }) ==
          "ResNet: expected eps >= 0, got -1e-05");
    CHECK(error([&] { models::mobilenet_v2({.norm_layer = norm}); }) ==
          "MobileNetV2: expected eps >= 0, got -1e-05");
    CHECK(error([&] { models::mobilenet_v3_small({.norm_layer = norm}); }) ==
          "MobileNetV3: expected eps >= 0, got -1e-05");
    CHECK(error([&] { models::efficientnet_b0({.norm_layer = norm}); }) ==
          "EfficientNet: expected eps >= 0, got -1e-05");
    CHECK(error([&] { models::unet::Unet(models::unet::UnetOptions{.decoder_use_norm = norm}); }) ==
          "UnetDecoderBlock: expected eps >= 0, got -1e-05");
  }
}

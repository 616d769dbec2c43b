#include <convkit/attention.h>

#include "support.h"

using namespace convkit;

TEST_CASE("attention obeys the laws of every module", "[attention][clone]") {
  torch::manual_seed(1);
  support::check_module_laws(SqueezeExcitation(6, 3), torch::randn({2, 6, 9, 8}));
}

TEST_CASE("EcaModule's kernel grows with the channels", "[attention]") {
  const auto length = [](int64_t channels) {
    return EcaModule(EcaModuleOptions().channels(channels))->conv->weight.size(2);
  };
  CHECK(length(16) == 3);
  CHECK(length(64) == 3);
  CHECK(length(256) == 5);
  CHECK(length(1024) == 5);
  EcaModule eca;
  CHECK(support::keys(*eca) == std::vector<std::string>{"conv.weight"});
  const torch::Tensor x = torch::randn({2, 6, 5, 4});
  CHECK(torch::equal(eca->clone()->as<EcaModuleImpl>()->forward(x), eca(x)));
}

TEST_CASE("attention refuses impossible options and inputs", "[attention][errors]") {
  CHECK(support::error([] { SqueezeExcitation(0, 1); }) ==
        "SqueezeExcitation: expected input_channels >= 1, got 0");
  CHECK(support::error([] { SqueezeExcitation(4, 0); }) ==
        "SqueezeExcitation: expected squeeze_channels >= 1, got 0");
  CHECK(support::error([] {
          SqueezeExcitation(SqueezeExcitationOptions(4, 2).activation({Activation::kNone}));
        }) == "SqueezeExcitation: expected an activation and a scale_activation, got kNone");
  CHECK(support::error([] { SqueezeExcitation(4, 2)(torch::ones({1, 3, 5, 5})); }) ==
        "SqueezeExcitation: expected input [N, 4, H, W], got [1, 3, 5, 5]");
  CHECK(support::error([] { EcaModule(EcaModuleOptions().kernel_size(4)); }) ==
        "EcaModule: expected an odd kernel_size, got 4");
  CHECK(support::error([] { EcaModule(EcaModuleOptions().kernel_size(-1)); }) ==
        "EcaModule: expected kernel_size >= 1, got -1");
  CHECK(support::error([] { EcaModule(EcaModuleOptions().channels(0)); }) ==
        "EcaModule: expected channels >= 1, got 0");
  CHECK(support::error([] { EcaModule(EcaModuleOptions().gamma(0)); }) ==
        "EcaModule: expected gamma > 0, got 0");
  CHECK(support::error([] { EcaModule()(torch::ones({3, 5, 5})); }) ==
        "EcaModule: expected input [N, C, H, W], got [3, 5, 5]");
}

#include <convkit/attention.h>
#include <convkit/branch_attention.h>

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

TEST_CASE("attention with norms and branches obeys the laws of every module",
          "[attention][clone]") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 16, 9, 8});
  const auto check = [&](auto module) {
    for (int i = 0; i < 5; ++i) module(torch::randn({4, 16, 9, 8}) + 1);
    support::check_module_laws(module, x);
  };
  SECTION("CoordAttn") {
    check(CoordAttn(CoordAttnOptions(16).has_skip(true)));
  }
  SECTION("GlobalContext") {
    check(GlobalContext(GlobalContextOptions(16).fuse_add(true)));
  }
  SECTION("SelectiveKernel") {
    check(SelectiveKernel(SelectiveKernelOptions(16).stride(2)));
  }
  SECTION("SplitAttn") {
    check(SplitAttn(SplitAttnOptions(16).norm_layer({}).groups(2)));
  }
}

TEST_CASE("attention with norms and branches has Python's keys", "[attention][shape]") {
  const auto weights = [](const torch::nn::Module& module) {
    std::vector<std::string> keys;
    for (const auto& entry : module.named_parameters()) keys.push_back(entry.key());
    return keys;
  };
  using Keys = std::vector<std::string>;
  CHECK(weights(*CoordAttn(16)) ==
        Keys{"conv1.weight", "bn1.weight", "bn1.bias", "conv_h.weight", "conv_w.weight"});
  CHECK(weights(*GlobalContext(GlobalContextOptions(16).use_attn(false))) ==
        Keys{"mlp_scale.fc1.weight", "mlp_scale.fc1.bias", "mlp_scale.norm.weight",
             "mlp_scale.norm.bias", "mlp_scale.fc2.weight", "mlp_scale.fc2.bias"});
  CHECK(weights(*SelectiveKernel(16)) ==
        Keys{"paths.0.conv.weight", "paths.0.bn.weight", "paths.0.bn.bias", "paths.1.conv.weight",
             "paths.1.bn.weight", "paths.1.bn.bias", "attn.fc_reduce.weight", "attn.bn.weight",
             "attn.bn.bias", "attn.fc_select.weight"});
  CHECK(weights(*SplitAttn(16)) ==
        Keys{"conv.weight", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"});
  const torch::Tensor x = torch::randn({2, 16, 9, 8});
  CHECK(SelectiveKernel(SelectiveKernelOptions(16).out_channels(6).stride(2))(x).sizes() ==
        torch::IntArrayRef({2, 6, 5, 4}));
  CHECK(SplitAttn(SplitAttnOptions(16).out_channels(6).stride(2))(x).sizes() ==
        torch::IntArrayRef({2, 6, 5, 4}));
}

TEST_CASE("CoordAttn and GlobalContext refuse impossible options and inputs",
          "[attention][errors]") {
  const auto error = [](const auto& function) { return support::error(function); };
  const torch::Tensor x = torch::ones({1, 3, 5, 5});
  CHECK(error([] { CoordAttn(0); }) == "CoordAttn: expected channels >= 1, got 0");
  CHECK(error([] { CoordAttn(CoordAttnOptions(4).rd_divisor(0)); }) ==
        "CoordAttn: expected rd_divisor >= 1, got 0");
  CHECK(error([] { CoordAttn(CoordAttnOptions(4).rd_channels(0)); }) ==
        "CoordAttn: expected rd_channels >= 1, got 0");
  CHECK(error([] { CoordAttn(CoordAttnOptions(4).rd_ratio(0)); }) ==
        "CoordAttn: expected 0 < rd_ratio < 10^6, got 0");
  CHECK(error([] { CoordAttn(CoordAttnOptions(4).se_factor(-1)); }) ==
        "CoordAttn: expected 0 < se_factor < 10^6, got -1");
  CHECK(error([] { CoordAttn(CoordAttnOptions(4).gate_layer({Activation::kNone})); }) ==
        "CoordAttn: expected an act_layer and a gate_layer, got kNone");
  CHECK(error([&] { CoordAttn(4)(x); }) ==
        "CoordAttn: expected input [N, 4, H, W], got [1, 3, 5, 5]");
  CHECK(error([] { GlobalContext(-1); }) == "GlobalContext: expected channels >= 1, got -1");
  CHECK(error([] { GlobalContext(GlobalContextOptions(4).fuse_scale(false)); }) ==
        "GlobalContext: expected fuse_add or fuse_scale, got neither");
  CHECK(error([] { GlobalContext(GlobalContextOptions(4).rd_channels(-2)); }) ==
        "GlobalContext: expected rd_channels >= 1, got -2");
  CHECK(error([] { GlobalContext(GlobalContextOptions(4).act_layer({Activation::kNone})); }) ==
        "GlobalContext: expected an act_layer and a gate_layer, got kNone");
  CHECK(error([&] { GlobalContext(4)(x); }) ==
        "GlobalContext: expected input [N, 4, H, W], got [1, 3, 5, 5]");
}

TEST_CASE("attention with branches refuses impossible options and inputs", "[attention][errors]") {
  const auto error = [](const auto& function) { return support::error(function); };
  const auto selective = [] { return SelectiveKernelOptions(16); };
  const auto split = [] { return SplitAttnOptions(16); };
  const torch::Tensor x = torch::ones({1, 3, 5, 5});
  CHECK(error([] { SelectiveKernel(0); }) == "SelectiveKernel: expected in_channels >= 1, got 0");
  CHECK(error([&] { SelectiveKernel(selective().kernel_size({})); }) ==
        "SelectiveKernel: expected at least one kernel_size, got none");
  CHECK(error([&] { SelectiveKernel(selective().kernel_size({3, 4})); }) ==
        "SelectiveKernel: expected an odd kernel_size >= 3, got 4");
  CHECK(error([&] { SelectiveKernel(selective().kernel_size({3, 5, 7})); }) ==
        "SelectiveKernel: expected in_channels divisible by 3 branches, got 16");
  CHECK(error([&] { SelectiveKernel(selective().groups(3)); }) ==
        "SelectiveKernel: expected in_channels divisible by groups 3, got 8");
  CHECK(error([&] { SelectiveKernel(selective().stride(0)); }) ==
        "SelectiveKernel: expected stride >= 1, got 0");
  CHECK(error([&] { SelectiveKernel(selective().rd_ratio(-1)); }) ==
        "SelectiveKernel: expected 0 < rd_ratio < 10^6, got -1");
  CHECK(error([&] { SelectiveKernel(16)(x); }) ==
        "SelectiveKernel: expected input [N, 16, H, W], got [1, 3, 5, 5]");
  CHECK(error([] { SplitAttn(0); }) == "SplitAttn: expected in_channels >= 1, got 0");
  CHECK(error([&] { SplitAttn(split().radix(0)); }) == "SplitAttn: expected radix >= 1, got 0");
  CHECK(error([&] { SplitAttn(split().groups(3)); }) ==
        "SplitAttn: expected in_channels divisible by groups 6, got 16");
  CHECK(error([&] { SplitAttn(split().padding(-1)); }) ==
        "SplitAttn: expected padding >= 0, got -1");
  CHECK(error([&] { SplitAttn(split().act_layer({Activation::kNone})); }) ==
        "SplitAttn: expected an act_layer, got kNone");
  CHECK(error([&] { SplitAttn(split().norm_layer({.kind = Norm::kGroupNorm, .groups = 5})); }) ==
        "SplitAttn: expected channels divisible by groups 5, got 32");
  CHECK(error([&] { SplitAttn(16)(x); }) ==
        "SplitAttn: expected input [N, 16, H, W], got [1, 3, 5, 5]");
}

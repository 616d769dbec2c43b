#include <convkit/segmentation.h>

#include "support.h"

using namespace convkit;

TEST_CASE("ASPP sees every rate and the whole image", "[segmentation][shape][clone]") {
  torch::manual_seed(1);
  ASPP aspp(6, std::vector<int64_t>{2, 4}, 5);
  CHECK(aspp(torch::randn({2, 6, 13, 11})).sizes() == torch::IntArrayRef({2, 5, 13, 11}));
  CHECK(aspp->convs->size() == 4);
  for (int i = 0; i < 5; ++i) aspp(torch::randn({2, 6, 9, 9}) + 1);  // alive running statistics
  support::check_module_laws(aspp, torch::randn({2, 6, 9, 8}));
}

TEST_CASE("PSPModule appends the means to the image", "[segmentation][shape][clone]") {
  torch::manual_seed(1);
  PSPModule psp(8);
  const torch::Tensor x = torch::randn({2, 8, 12, 9});
  const torch::Tensor y = psp(x);
  CHECK(y.sizes() == torch::IntArrayRef({2, 16, 12, 9}));
  CHECK(torch::equal(y.narrow(1, 8, 8), x));
  for (int i = 0; i < 5; ++i) psp(torch::randn({2, 8, 12, 9}) + 1);
  support::check_module_laws(psp, x);
}

TEST_CASE("SegmentationHead makes masks, larger ones if asked", "[segmentation][shape][clone]") {
  torch::manual_seed(1);
  const auto size = [](const SegmentationHeadOptions& options) {
    return SegmentationHead(options)(torch::randn({1, 4, 6, 5})).sizes().vec();
  };
  using Shape = std::vector<int64_t>;
  const auto options = [] { return SegmentationHeadOptions(4, 2); };
  CHECK(size(options()) == Shape{1, 2, 6, 5});
  CHECK(size(options().kernel_size(1)) == Shape{1, 2, 6, 5});
  CHECK(size(options().kernel_size(4)) == Shape{1, 2, 7, 6});
  CHECK(size(options().upsampling(4)) == Shape{1, 2, 24, 20});
  CHECK(size(options().upsampling(1.5)) == Shape{1, 2, 9, 7});
  support::check_module_laws(SegmentationHead(options().upsampling(2)), torch::randn({1, 4, 6, 5}));
}

TEST_CASE("UnetDecoderBlock takes maps of any size", "[segmentation][shape]") {
  UnetDecoderBlock block(4, 3, 5);
  const torch::Tensor x = torch::randn({2, 4, 3, 4});
  CHECK(block(x, 7, 9, torch::randn({2, 3, 7, 9})).sizes() == torch::IntArrayRef({2, 5, 7, 9}));
  CHECK(support::keys(*UnetDecoderBlock(UnetDecoderBlockOptions(16, 0, 16)
                                            .use_norm({Norm::kNone})
                                            .attention_type(AttentionType::kSCSE)))
            .size() == 16);
}

TEST_CASE("modules with several inputs are cloned and converted as Python's are",
          "[segmentation][clone]") {
  torch::manual_seed(1);
  UnetDecoderBlock block(4, 3, 5);
  const torch::Tensor x = torch::randn({2, 4, 3, 4});
  const torch::Tensor skip = torch::randn({2, 3, 7, 9});
  block(x, 7, 9, skip);
  block->eval();
  block->parameters()[0].set_requires_grad(false);
  torch::manual_seed(3);
  const torch::Tensor expected_draw = torch::rand({4});
  torch::manual_seed(3);
  UnetDecoderBlock copy(std::dynamic_pointer_cast<UnetDecoderBlockImpl>(block->clone()));
  CHECK(torch::equal(torch::rand({4}), expected_draw));
  CHECK_FALSE(copy->parameters()[0].requires_grad());
  CHECK(torch::equal(copy(x, 7, 9, skip), block(x, 7, 9, skip)));
  block->to(torch::kDouble);
  for (const auto& entry : state_dict(*block)) {
    INFO(entry.key());
    CHECK(entry.value().scalar_type() ==
          (entry.key().ends_with("num_batches_tracked") ? torch::kLong : torch::kDouble));
  }
  CHECK(copy->parameters()[0].scalar_type() == torch::kFloat);
}

TEST_CASE("FeaturePyramidNetwork keeps names and sizes", "[segmentation][shape]") {
  FeaturePyramidNetwork fpn(std::vector<int64_t>{3, 5}, 4);
  FeaturePyramidNetworkImpl::Maps maps;
  maps.insert("large", torch::randn({2, 3, 9, 7}));
  maps.insert("small", torch::randn({2, 5, 4, 4}));
  const auto y = fpn(maps);
  CHECK(y.keys() == std::vector<std::string>{"large", "small"});
  CHECK(y["large"].sizes() == torch::IntArrayRef({2, 4, 9, 7}));
  CHECK(y["small"].sizes() == torch::IntArrayRef({2, 4, 4, 4}));
}

TEST_CASE("a pyramid takes the names of before torchvision 0.13", "[segmentation]") {
  FeaturePyramidNetwork fpn(std::vector<int64_t>{3, 5}, 4);
  Sequential nested{{"body", torch::nn::Identity()}};
  nested->register_module("fpn", fpn);
  StateDict old;
  for (const auto& entry : state_dict(*nested)) {
    std::string key = entry.key();
    key.erase(key.size() - (key.ends_with(".weight") ? 9 : 7), 2);  // .0.0.weight -> .0.weight
    old.insert(key, torch::rand_like(entry.value()));
  }
  CHECK(old.contains("fpn.inner_blocks.1.bias"));
  load_state_dict(*nested, old);
  CHECK(torch::equal(state_dict(*fpn)["inner_blocks.1.0.bias"], old["fpn.inner_blocks.1.bias"]));
  CHECK(
      torch::equal(state_dict(*fpn)["layer_blocks.0.0.weight"], old["fpn.layer_blocks.0.weight"]));
  load_state_dict(*nested, state_dict(*nested));  // today's are still taken
}

TEST_CASE("segmentation refuses impossible options and inputs", "[segmentation][errors]") {
  using List = std::vector<int64_t>;
  const auto error = [](auto f) { return support::error(f); };
  const auto image = [](int64_t channels) { return torch::ones({1, channels, 6, 6}); };
  CHECK(error([] { ASPP(0, List{1}); }) == "ASPP: expected in_channels >= 1, got 0");
  CHECK(error([] { ASPP(4, List{2, 0}); }) == "ASPP: expected atrous_rates >= 1, got 0");
  CHECK(error([&] { ASPP(4, List{1}, 2)(image(3)); }) ==
        "ASPP: expected input [N, 4, H, W], got [1, 3, 6, 6]");
  CHECK(error([] { PSPModule(4, List{}); }) ==
        "PSPModule: expected at least one of sizes, and as many in_channels, got 0 and 4");
  CHECK(error([] { PSPModule(3); }) ==
        "PSPModule: expected at least one of sizes, and as many in_channels, got 4 and 3");
  CHECK(error([] { PSPModule(4, List{0}); }) == "PSPModule: expected sizes >= 1, got 0");
  CHECK(error([&] { PSPModule(4)(image(3)); }) ==
        "PSPModule: expected input [N, 4, H, W], got [1, 3, 6, 6]");
  CHECK(error([] { SegmentationHead(4, 0); }) ==
        "SegmentationHead: expected out_channels >= 1, got 0");
  CHECK(error([] { SegmentationHead(SegmentationHeadOptions(4, 2).upsampling(0)); }) ==
        "SegmentationHead: expected 0 < upsampling < 10^6, got 0");
  CHECK(error([&] { SegmentationHead(4, 2)(image(3)); }) ==
        "SegmentationHead: expected input [N, 4, H, W], got [1, 3, 6, 6]");
  CHECK(error([] { FeaturePyramidNetwork(List{}, 4); }) ==
        "FeaturePyramidNetwork: expected in_channels_list to name at least one map, got none");
  CHECK(error([] { FeaturePyramidNetwork(List{3, 0}, 4); }) ==
        "FeaturePyramidNetwork: expected in_channels_list >= 1, got 0");
  CHECK(error([&] { FeaturePyramidNetwork(List{3, 4}, 4)(FeaturePyramidNetworkImpl::Maps()); }) ==
        "FeaturePyramidNetwork: expected 2 maps, got 0");
}

TEST_CASE("a pyramid's maps are of one batch", "[segmentation][errors]") {
  FeaturePyramidNetwork fpn(std::vector<int64_t>{3, 5}, 4);
  FeaturePyramidNetworkImpl::Maps maps;
  maps.insert("large", torch::randn({2, 3, 9, 7}));
  maps.insert("small", torch::randn({1, 5, 4, 4}));
  CHECK(support::error([&] { fpn(maps); }) ==
        "FeaturePyramidNetwork: expected maps of the same batch 2, got [1, 5, 4, 4]");
}

TEST_CASE("UnetDecoderBlock refuses impossible options and inputs", "[segmentation][errors]") {
  const auto error = [](auto f) { return support::error(f); };
  const torch::Tensor x = torch::ones({1, 4, 3, 3});
  CHECK(error([] { UnetDecoderBlock(0, 0, 4); }) ==
        "UnetDecoderBlock: expected in_channels >= 1, got 0");
  CHECK(error([] { UnetDecoderBlock(4, -1, 4); }) ==
        "UnetDecoderBlock: expected skip_channels >= 0, got -1");
  CHECK(error([] {
          UnetDecoderBlock(UnetDecoderBlockOptions(4, 0, 4).interpolation_mode(torch::kLinear));
        }) == "UnetDecoderBlock: expected an interpolation_mode for images, got kLinear");
  CHECK(error([&] { UnetDecoderBlock(4, 2, 4)(x, 6, 6); }) ==
        "UnetDecoderBlock: expected a skip_connection for skip_channels 2, got none");
  CHECK(error([&] { UnetDecoderBlock(4, 0, 4)(x, 6, 6, x); }) ==
        "UnetDecoderBlock: expected no skip_connection for skip_channels 0, got one");
  CHECK(error([&] { UnetDecoderBlock(4, 2, 4)(x, 6, 6, torch::ones({1, 2, 5, 6})); }) ==
        "UnetDecoderBlock: expected a skip_connection [1, 2, 6, 6], got [1, 2, 5, 6]");
  CHECK(error([&] { UnetDecoderBlock(4, 0, 4)(x, 0, 6); }) ==
        "UnetDecoderBlock: expected target_height >= 1, got 0");
}

#include <convkit/models.h>
#include <convkit/state_dict.h>
#include <convkit/summary.h>

#include "support.h"

#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <set>
#include <string>

using namespace convkit;

TEST_CASE("create() knows every name that names() gives", "[models]") {
  const auto names = models::names();
  CHECK(names.size() == 87);
  CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  models::Network network = models::create("mobilenet_v3_small", {.num_classes = 10});
  network->eval();
  const torch::NoGradGuard no_grad;
  CHECK(network(torch::randn({2, 3, 64, 64})).sizes() == torch::IntArrayRef({2, 10}));
  models::Network unet = models::create("unet_resnet18", {.num_classes = 4});
  unet->eval();
  CHECK(unet(torch::randn({1, 3, 45, 70})).sizes() == torch::IntArrayRef({1, 4, 45, 70}));
}

TEST_CASE("describe() describes every network of names(), as create() makes it", "[models]") {
  for (const std::string& name : models::names()) CHECK(models::describe(name).name == name);
  const models::Description network = models::describe("squeezenet1_1");
  CHECK(network.source == "torchvision.models.squeezenet");
  CHECK(network.input == std::vector<int64_t>{1, 3, 224, 224});
  models::Network made = models::create("squeezenet1_1");
  CHECK(network.parameters == parameter_count(*made));
  CHECK(network.tensors == static_cast<int64_t>(state_dict(*made).size()));
  CHECK(network.macs == summarize(*made, torch::zeros(network.input)).macs);
  REQUIRE(network.weights.size() == 1);
  CHECK(network.weights[0].name == "IMAGENET1K_V1");
  CHECK(network.weights[0].file() == "squeezenet1_1-b8a52dc0.pth");
  CHECK(network.weights[0].sha256() == "b8a52dc0");
  for (const std::string url : {"", "model.safetensors", "a/b-12345678/model.pth", "a-1234567.pth",
                                "a-x2345678.pth", "12345678.pth"}) {
    CHECK(models::PublishedWeights{"", url}.sha256().empty());
  }
  CHECK(support::error([] { models::describe("resnet-18"); }) ==
        "models::describe: expected the name of a network, got \"resnet-18\"; the nearest are "
        "resnet18, resnet34 and resnet50");
}

TEST_CASE("outputs() gives every head, and forward the main one", "[models]") {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({2, 3, 64, 64});
  const auto keys = [&](models::Network network) { return network.outputs(x).keys(); };
  using Keys = std::vector<std::string>;
  models::GoogLeNet net = models::googlenet({.num_classes = 10});
  CHECK(keys(net) == Keys{"logits", "aux_logits2", "aux_logits1"});
  net->eval();
  CHECK(keys(net) == Keys{"logits"});
  CHECK(torch::equal(net(x), net->outputs(x)["logits"]));
  CHECK(keys(models::create("mobilenet_v3_small")) == Keys{"out"});
  auto segmenter = models::deeplabv3_mobilenet_v3_large({.num_classes = 4, .aux_loss = true});
  segmenter->eval();
  CHECK(keys(segmenter) == Keys{"out", "aux"});
  CHECK(segmenter(x).sizes() == torch::IntArrayRef({2, 4, 64, 64}));
  CHECK(support::error([] { models::lraspp_mobilenet_v3_large({.aux_loss = true}); }) ==
        "LRASPP: expected no aux_loss, for it has no second head");
}

TEST_CASE("create() suggests the names nearest to an unknown one", "[models][errors]") {
  CHECK(support::error([] { models::create("resnet-18"); }) ==
        "models::create: expected the name of a network, got \"resnet-18\"; the nearest are "
        "resnet18, resnet34 and resnet50");
  CHECK_THAT(support::error([] { models::create("mobilenetv2"); }),
             Catch::Matchers::ContainsSubstring("the nearest are mobilenet_v2, "));
  CHECK_THAT(support::error([] { models::create(std::string(1000000, 'x')); }),
             Catch::Matchers::ContainsSubstring("the nearest are "));
  CHECK(support::error([] { models::create("resnet18", {.num_classes = 0}); }) ==
        "ResNet: expected num_classes >= 1, got 0");
  CHECK(support::error([] { models::create("unet_resnet18", {.num_classes = 0}); }) ==
        "Unet: expected classes >= 1, got 0");
}

TEST_CASE("features() gives the last map of each size", "[models][shape]") {
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({1, 3, 64, 96});
  const auto shapes = [&](const std::string& name) {
    models::Network network = models::create(name);
    network->eval();
    std::vector<std::pair<int64_t, int64_t>> result;
    for (const torch::Tensor& map : network.features(x)) {
      CHECK(map.size(3) * 2 == map.size(2) * 3);
      result.emplace_back(map.size(1), 64 / map.size(2));
    }
    return result;
  };
  using Maps = std::vector<std::pair<int64_t, int64_t>>;  // channels, stride
  CHECK(shapes("resnet18") == Maps{{64, 2}, {64, 4}, {128, 8}, {256, 16}, {512, 32}});
  CHECK(shapes("mobilenet_v2") == Maps{{16, 2}, {24, 4}, {32, 8}, {96, 16}, {1280, 32}});
  CHECK(shapes("mobilenet_v3_small") == Maps{{16, 2}, {16, 4}, {24, 8}, {48, 16}, {576, 32}});
  CHECK(shapes("efficientnet_b0") == Maps{{16, 2}, {24, 4}, {40, 8}, {112, 16}, {1280, 32}});
  CHECK(shapes("shufflenet_v2_x0_5") == Maps{{24, 2}, {24, 4}, {48, 8}, {96, 16}, {1024, 32}});
  CHECK(shapes("mnasnet0_5") == Maps{{8, 2}, {16, 4}, {24, 8}, {48, 16}, {1280, 32}});
  CHECK(shapes("regnet_x_400mf") == Maps{{32, 2}, {32, 4}, {64, 8}, {160, 16}, {400, 32}});
  CHECK(shapes("mobilenetv1_100") == Maps{{64, 2}, {128, 4}, {256, 8}, {512, 16}, {1024, 32}});
  CHECK(shapes("googlenet") == Maps{{64, 2}, {192, 4}, {480, 8}, {832, 16}, {1024, 32}});
  CHECK(shapes("convnext_tiny") == Maps{{96, 4}, {192, 8}, {384, 16}, {768, 32}});
  CHECK(support::error([&] { models::create("unet_resnet18").features(x); }) ==
        "Network: expected one that has features, got Unet");
  CHECK(support::error([&] { models::create("lraspp_mobilenet_v3_large").features(x); }) ==
        "Network: expected one that has features, got LRASPP");
}

TEST_CASE("a ResNet without its head is an encoder", "[models][shape]") {
  torch::manual_seed(4);
  auto encoder = models::resnet18({.features_only = true});
  torch::manual_seed(4);
  auto whole = models::resnet18();
  auto expected = support::keys(*whole);
  std::erase_if(expected, [](const std::string& key) { return key.starts_with("fc."); });
  CHECK(support::keys(*encoder) == expected);
  const torch::NoGradGuard no_grad;
  encoder->eval();
  whole->eval();
  const torch::Tensor x = torch::randn({1, 3, 40, 40});
  CHECK(encoder(x).sizes() == torch::IntArrayRef({1, 512, 2, 2}));
  CHECK(torch::equal(encoder(x), whole->features(x).back()));
  CHECK(whole->features(x, 2).size() == 2);
  CHECK(support::error([&] { whole->features(x, 6); }) ==
        "ResNet: expected 1 <= depth <= 5, got 6");
}

/// Notes, when a ResNet's layer is done, how many maps of the layers before it are still there.
struct MapWatcher : convkit::detail::CallObserver {
  explicit MapWatcher(const models::resnet::ResNetImpl& network) : network(network) {}
  void before(const torch::nn::Module&, const Tensors&) override {}
  void after(const torch::nn::Module& module, const Tensors& outputs) override {
    const auto is_module = [&](const Sequential& layer) { return layer.get() == &module; };
    if (std::none_of(network.layers.begin(), network.layers.end(), is_module)) return;
    alive.push_back(
        std::count_if(maps.begin(), maps.end(), [](const auto& map) { return !map.expired(); }));
    maps.emplace_back(outputs.at(0).second.getIntrusivePtr());
  }
  const models::resnet::ResNetImpl& network;
  std::vector<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> maps;
  std::vector<int64_t> alive;
};

TEST_CASE("a ResNet's forward keeps no map that the next layer has read", "[models]") {
  torch::manual_seed(4);
  auto network = models::resnet18();
  network->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({1, 3, 40, 40});
  MapWatcher watcher(*network);
  convkit::detail::CallObserver::current = &watcher;
  const torch::Tensor y = network(x);
  convkit::detail::CallObserver::current = nullptr;
  // The input of the layer that ends, and no other.
  CHECK(watcher.alive == std::vector<int64_t>{0, 1, 1, 1});
  const torch::Tensor last = network->features(x).back();
  CHECK(torch::equal(y, network->fc(network->avgpool(last).flatten(1))));
}

TEST_CASE("networks obey the laws of every module", "[models][clone]") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 3, 40, 33});
  auto network = GENERATE(as<std::string>{}, "resnet18", "mobilenet_v3_small", "efficientnet_b0");
  INFO(network);
  models::Network net = models::create(network);
  for (int i = 0; i < 3; ++i) net(x);
  net->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor y = net(x).clone();
  models::Network copy(net->clone());
  for (torch::Tensor& parameter : net->parameters()) parameter.zero_();
  CHECK(torch::equal(copy(x), y));
  copy->to(torch::kDouble);
  CHECK(copy(x.to(torch::kDouble)).scalar_type() == torch::kDouble);
}

TEST_CASE("blocks of networks obey the laws of every module", "[models][clone]") {
  torch::manual_seed(1);
  const torch::Tensor x = torch::randn({2, 8, 9, 7});
  const auto check = [&](auto block) {
    for (int i = 0; i < 5; ++i) block(torch::randn({2, 8, 9, 7}) + 1);
    support::check_module_laws(block, x);
  };
  SECTION("BasicBlock") {
    check(
        models::resnet::BasicBlock(models::resnet::BlockOptions(8, 6).stride(2).downsample(true)));
  }
  SECTION("Bottleneck") {
    check(models::resnet::Bottleneck(8, 2));
  }
  SECTION("MobileNetV2's") {
    check(models::mobilenetv2::InvertedResidual(8, 8, 1, 2));
  }
  SECTION("MobileNetV3's") {
    check(models::mobilenetv3::InvertedResidual(models::mobilenetv3::InvertedResidualConfig{
        .input_channels = 8, .expanded_channels = 16, .out_channels = 8, .use_se = true}));
  }
  const models::efficientnet::MBConvConfig config{
      .expand_ratio = 2, .input_channels = 8, .out_channels = 8};
  SECTION("MBConv") {
    check(models::efficientnet::MBConv(config));
  }
  SECTION("FusedMBConv") {
    check(models::efficientnet::FusedMBConv(config));
  }
  SECTION("CNBlock") {
    check(models::convnext::CNBlock(8, 0.5, 0));
  }
  SECTION("Fire") {
    check(models::squeezenet::Fire(8, 2, 3, 5));
  }
  SECTION("GoogLeNet's Inception") {
    check(models::googlenet_blocks::Inception(
        models::googlenet_blocks::InceptionChannels{8, 2, 2, 3, 2, 3, 4}));
  }
  SECTION("Inception v3's blocks") {
    check(models::inception::InceptionBlock(models::inception::Mixed::kA, 8, 4));
    check(models::inception::InceptionBlock(models::inception::Mixed::kB, 8));
    check(models::inception::InceptionBlock(models::inception::Mixed::kD, 8));
  }
  SECTION("DenseBlock") {
    check(models::densenet::DenseBlock(3, 8, 2, 4, 0));
  }
  SECTION("ShuffleNetV2's") {
    check(models::shufflenetv2::InvertedResidual(8, 8, 1));
    check(models::shufflenetv2::InvertedResidual(8, 12, 2));
  }
  SECTION("MNASNet's") {
    check(models::mnasnet::InvertedResidual(8, 8, 5, 1, 2));
  }
  SECTION("MobileNetV1's") {
    check(models::mobilenetv1::DepthwiseSeparableConv(8, 12, 2));
  }
  SECTION("Xception's") {
    check(models::xception::SeparableConv2d(8, 12, 3, 2, 1));
    check(models::xception::Block(models::xception::BlockOptions(8, 12, 2).strides(2)));
    check(models::xception::Block(8, 8, 3));
  }
  SECTION("EDSR's") {
    check(models::edsr::ResBlock(8, 0.5));
  }
  SECTION("ResBottleneckBlock") {
    check(models::regnet::ResBottleneckBlock(
        models::regnet::BlockOptions(8, 12, 2).group_width(4).se_ratio(0.25)));
  }
}

TEST_CASE("the networks' own options and inputs are checked", "[models][errors]") {
  const torch::Tensor x = torch::randn({1, 4, 64, 64});
  const auto error = [](const auto& function) { return support::error(function); };
  CHECK(error([] { models::alexnet({.dropout = 2}); }) ==
        "AlexNet: expected 0 <= dropout <= 1, got 2");
  CHECK(error([] { models::vgg::layout("vgg12"); }) ==
        "vgg::layout: expected the name of a VGG, got \"vgg12\"");
  CHECK(error([] { models::squeezenet::SqueezeNet("1_2"); }) ==
        "SqueezeNet: expected version 1_0 or 1_1, got 1_2");
  CHECK(error([&] { models::squeezenet1_1()(x); }) ==
        "SqueezeNet: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::squeezenet::Fire(8, 0, 1, 1); }) ==
        "Fire: expected squeeze_planes >= 1, got 0");
  CHECK(error([&] { models::googlenet()->outputs(x); }) ==
        "GoogLeNet: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::inception::InceptionBlock(models::inception::Mixed::kC, 8); }) ==
        "InceptionBlock: expected channels >= 1, got 0");
  CHECK(error([] { models::densenet121({.bn_size = 0}); }) ==
        "DenseLayer: expected bn_size >= 1, got 0");
  CHECK(error([] {
          models::densenet::DenseLayer(8, 4, 2, 0)->forward(std::vector<torch::Tensor>{});
        }) == "DenseLayer: expected at least one map, got none");
  CHECK(error([] { models::shufflenetv2::InvertedResidual(8, 6, 1); }) ==
        "InvertedResidual: expected for stride 1 as many channels inp as 2 floor(oup / 2) = 6, got "
        "8");
  CHECK(error([] { models::mnasnet::InvertedResidual(8, 8, 4, 1, 2); }) ==
        "InvertedResidual: expected kernel_size 3 or 5, got 4");
  CHECK(error([] { models::mnasnet0_5({.version = 3}); }) ==
        "MNASNet: expected version 1 or 2, got 3");
  CHECK(error([] { models::regnet::BlockParams::from_init_params(4, 12, 8, 2, 8); }) ==
        "BlockParams: expected w_0 that is a positive multiple of 8, got 12");
  CHECK(error([] { models::regnet::RegNet(models::regnet::BlockParams{}); }) ==
        "RegNet: expected at least one stage, got none");
  CHECK(error([&] { models::regnet_x_400mf()(x); }) ==
        "RegNet: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  using models::segmentation::BackboneKind;
  CHECK(error([] { models::segmentation::FCN(BackboneKind::kMobileNetV3Large); }) ==
        "FCN: expected a ResNet, got kMobileNetV3Large");
  CHECK(error([&] { models::lraspp_mobilenet_v3_large()(x); }) ==
        "LRASPP: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([&] { models::video::mc3_18()(x); }) ==
        "VideoResNet: expected input [N, 3, T, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::video::BasicBlock(4, 0, models::video::ConvKind::kConv2Plus1D); }) ==
        "BasicBlock: expected planes >= 1, got 0");
  CHECK(error([] { models::mobilenetv1_100({.channel_multiplier = -1}); }) ==
        "MobileNetV1: expected 0 < channel_multiplier < 10^6, got -1");
  CHECK(error([] { models::mobilenetv1::DepthwiseSeparableConv(8, 8, 3); }) ==
        "DepthwiseSeparableConv: expected stride 1 or 2, got 3");
  CHECK(error([&] { models::mobilenetv1_100()(x); }) ==
        "MobileNetV1: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::legacy_xception({.drop_rate = 2}); }) ==
        "Xception: expected 0 <= drop_rate <= 1, got 2");
  CHECK(error([&] { models::legacy_xception()->features(x); }) ==
        "Xception: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::xception::SeparableConv2d(8, 8, 3, 0); }) ==
        "SeparableConv2d: expected stride >= 1, got 0");
  CHECK(error([] { models::xception::Block(8, 8, 0); }) == "Block: expected reps >= 1, got 0");
  CHECK(error([&] { models::xception::Block(8, 8, 1)(x); }) ==
        "Block: expected input [N, 8, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::dcgan::Generator(0); }) == "Generator: expected nz >= 1, got 0");
  CHECK(error([&] { models::dcgan::Generator()(x); }) ==
        "Generator: expected input [N, 100, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::dcgan::Discriminator(3, 0); }) ==
        "Discriminator: expected 8 ndf >= 1, got 0");
  CHECK(error([&] { models::dcgan::Discriminator()(x); }) ==
        "Discriminator: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::edsr_base(6); }) ==
        "EdsrModel: expected scale 3 or a power of 2, got 6");
  CHECK(error([] { models::edsr_base(0); }) == "EdsrModel: expected scale >= 1, got 0");
  CHECK(error([] { models::edsr::EdsrModel(models::EdsrOptions{.n_resblocks = 0}); }) ==
        "EdsrModel: expected n_resblocks >= 1, got 0");
  CHECK(error([&] { models::edsr_base(2)(x); }) ==
        "EdsrModel: expected input [N, 3, H, W], got [1, 4, 64, 64]");
  CHECK(error([] { models::video::s3d({.num_classes = 0}); }) ==
        "S3D: expected num_classes >= 1, got 0");
}

TEST_CASE("DCGAN and EDSR make images of the size that they say", "[models][shape]") {
  const torch::NoGradGuard no_grad;
  models::dcgan::Generator generator(7, 8, 3);
  const torch::Tensor image = generator(torch::randn({2, 7, 1, 1}));
  CHECK(image.sizes() == torch::IntArrayRef({2, 3, 64, 64}));
  CHECK(generator(torch::randn({2, 7, 2, 3})).sizes() == torch::IntArrayRef({2, 3, 80, 96}));
  CHECK(models::dcgan::Discriminator(3, 8)(image).sizes() == torch::IntArrayRef({2}));
  for (const int64_t scale : {1, 2, 3, 4, 8}) {
    models::edsr::EdsrModel network(
        models::EdsrOptions{.scale = scale, .n_resblocks = 1, .n_feats = 4});
    CHECK(network(torch::randn({1, 3, 5, 6})).sizes() ==
          torch::IntArrayRef({1, 3, 5 * scale, 6 * scale}));
  }
}

TEST_CASE("a DenseNet takes the keys of before torchvision 0.3", "[models]") {
  models::densenet::DenseLayer layer(8, 4, 2, 0);
  const StateDict expected = state_dict(*layer);
  StateDict old;
  for (const auto& entry : expected) {
    std::string key = entry.key();
    key.insert(4, ".");  // norm1.weight -> norm.1.weight
    old.insert(key, entry.value().clone());
  }
  models::densenet::DenseLayer other(8, 4, 2, 0);
  load_state_dict(*other, old);
  CHECK(torch::equal(other->conv2->weight, layer->conv2->weight));
}

TEST_CASE("blocks of networks refuse impossible options and inputs", "[models][errors]") {
  using models::resnet::BasicBlock;
  using models::resnet::BlockOptions;
  using models::resnet::Bottleneck;
  const auto error = [](auto f) { return support::error(f); };
  const torch::Tensor x = torch::ones({1, 3, 6, 6});
  CHECK(error([] { BasicBlock(0, 4); }) == "BasicBlock: expected inplanes >= 1, got 0");
  CHECK(error([] { BasicBlock(4, 8); }) ==
        "BasicBlock: expected a downsample where the shape changes, from 4 to 8 channels with "
        "stride 1");
  CHECK(error([] { BasicBlock(BlockOptions(4, 4).groups(2)); }) ==
        "BasicBlock: expected groups 1, base_width 64 and dilation 1, got 2, 64 and 1");
  CHECK(error([] { BasicBlock(BlockOptions(4, 4).norm_layer({Norm::kNone})); }) ==
        "BasicBlock: expected a norm_layer, got kNone");
  CHECK(error([&] { BasicBlock(4, 4)(x); }) ==
        "BasicBlock: expected input [N, 4, H, W], got [1, 3, 6, 6]");
  CHECK(error([] { Bottleneck(8, 8); }) ==
        "Bottleneck: expected a downsample where the shape changes, from 8 to 32 channels with "
        "stride 1");
  CHECK(error([] { Bottleneck(BlockOptions(8, 2).base_width(8)); }) ==
        "Bottleneck: expected planes base_width / 64 >= 1, got 0");
  CHECK(error([&] { Bottleneck(8, 2)(x); }) ==
        "Bottleneck: expected input [N, 8, H, W], got [1, 3, 6, 6]");
  CHECK(error([] { models::mobilenetv2::InvertedResidual(4, 4, 3, 1); }) ==
        "InvertedResidual: expected stride 1 or 2, got 3");
  CHECK(error([] { models::mobilenetv2::InvertedResidual(4, 4, 1, 0); }) ==
        "InvertedResidual: expected expand_ratio >= 1, got 0");
  CHECK(error([&] { models::mobilenetv2::InvertedResidual(4, 4, 1, 2)(x); }) ==
        "InvertedResidual: expected input [N, 4, H, W], got [1, 3, 6, 6]");
  CHECK(error([] {
          models::mobilenetv3::InvertedResidual(models::mobilenetv3::InvertedResidualConfig{});
        }) == "InvertedResidual: expected input_channels >= 1, got 0");
  CHECK(error([] {
          models::efficientnet::MBConv(models::efficientnet::MBConvConfig{
              .expand_ratio = 0.5, .input_channels = 8, .out_channels = 8});
        }) == "MBConv: expected 1 <= expand_ratio < 10^6, got 0.5");
  CHECK(error([] {
          models::efficientnet::FusedMBConv(
              models::efficientnet::MBConvConfig{.input_channels = 8, .out_channels = 8}, 2);
        }) == "StochasticDepth: expected 0 <= p <= 1, got 2");
  CHECK(error([] { models::mobilenetv2::InvertedResidual(0, 4, 1, 1); }) ==
        "InvertedResidual: expected inp >= 1, got 0");
  CHECK(error([] { Bottleneck(int64_t{1} << 62, int64_t{1} << 62); }) ==
        "Bottleneck: expected inplanes <= 2147483647, got 4611686018427387904");
  CHECK(error([] { models::convnext::CNBlock(0, 1, 0); }) == "CNBlock: expected dim >= 1, got 0");
}

TEST_CASE("networks refuse impossible options and inputs", "[models][errors]") {
  const auto error = [](auto f) { return support::error(f); };
  const torch::Tensor x = torch::ones({1, 1, 64, 64});
  CHECK(error([] { models::resnet18({.norm_layer = {Norm::kNone}}); }) ==
        "ResNet: expected a norm_layer, got kNone");
  CHECK(error([] { models::resnet18({.replace_stride_with_dilation = {false, true, true}}); }) ==
        "BasicBlock: expected groups 1, base_width 64 and dilation 1, got 1, 64 and 2");
  CHECK(error([&] { models::resnet18()(x); }) ==
        "ResNet: expected input [N, 3, H, W], got [1, 1, 64, 64]");
  CHECK(error([] { models::resnet::layout("resnet19"); }) ==
        "resnet::layout: expected the name of a ResNet, got \"resnet19\"");
  CHECK(error([] { models::mobilenet_v2({.width_mult = 0}); }) ==
        "MobileNetV2: expected 0 < width_mult < 10^6, got 0");
  CHECK(error([] { models::mobilenet_v2({.dropout = 1.5}); }) ==
        "MobileNetV2: expected 0 <= dropout <= 1, got 1.5");
  CHECK(error([] { models::mobilenet_v2({.round_nearest = 0}); }) ==
        "MobileNetV2: expected round_nearest >= 1, got 0");
  CHECK(error([&] { models::mobilenet_v2()(x); }) ==
        "MobileNetV2: expected input [N, 3, H, W], got [1, 1, 64, 64]");
  CHECK(error([] { models::mobilenet_v3_small({.num_classes = -1}); }) ==
        "MobileNetV3: expected num_classes >= 1, got -1");
  CHECK(error([&] { models::mobilenet_v3_small().get()->features(x); }) ==
        "MobileNetV3: expected input [N, 3, H, W], got [1, 1, 64, 64]");
  CHECK(error([] { models::efficientnet_b0({.stochastic_depth_prob = 2}); }) ==
        "EfficientNet: expected 0 <= stochastic_depth_prob <= 1, got 2");
  CHECK(error([] { models::efficientnet::EfficientNet(models::efficientnet::Layout{}); }) ==
        "EfficientNet: expected at least one stage, got none");
  CHECK(error([] { models::convnext_tiny({.stochastic_depth_prob = -1}); }) ==
        "ConvNeXt: expected 0 <= stochastic_depth_prob <= 1, got -1");
  CHECK(error([] {
          models::convnext::ConvNeXt(
              std::vector<models::convnext::CNBlockConfig>{{8, 16, 1}, {8, std::nullopt, 1}});
        }) == "ConvNeXt: expected a stage of 16 channels after the one before, got 8");
  const auto unet = [&](auto change) {
    return error([&] {
      models::unet::UnetOptions options;
      change(options);
      models::unet::Unet unet(options);
    });
  };
  CHECK(unet([](auto& options) { options.encoder_name = "vgg16"; }) ==
        "Unet: expected one of encoder_names(), like resnet34, got \"vgg16\"");
  CHECK(unet([](auto& options) { options.encoder_depth = 6; }) ==
        "Unet: expected 1 <= encoder_depth <= 5, got 6");
  CHECK(unet([](auto& options) { options.encoder_depth = 4; }) ==
        "Unet: expected as many decoder_channels as encoder_depth 4, got 5");
  CHECK(unet([](auto& options) { options.in_channels = 0; }) ==
        "Unet: expected in_channels >= 1, got 0");
  CHECK(unet([](auto& options) {
          options.decoder_attention_type = static_cast<AttentionType>(5);
        }) == "UnetDecoderBlock: expected one of AttentionType, got 5");
  CHECK(error([] {
          models::resnet::Layout layout;
          layout.block = static_cast<models::resnet::Layout::BlockKind>(9);
          models::resnet::ResNet network(layout);
        }) == "resnet::Layout: expected one of BlockKind, got 9");
  CHECK(error([] {
          models::mobilenetv3::MobileNetV3 network(static_cast<models::mobilenetv3::Size>(9));
        }) == "MobileNetV3: expected one of Size, got 9");
  CHECK(error([] { models::mobilenet_v2({.norm_layer = {Norm::kNone}}); }) ==
        "MobileNetV2: expected a norm_layer, got kNone");
  CHECK(error([] { models::resnet18({.norm_layer = {.kind = Norm::kGroupNorm, .groups = 3}}); }) ==
        "ResNet: expected channels divisible by groups 3, got 64");
  CHECK(error([&] { models::convnext_tiny()(torch::ones({1, 3, 31, 64})); }) ==
        "ConvNeXt: expected a height and width >= 32, got [1, 3, 31, 64]");
  CHECK(error([&] { models::resnet18()(torch::ones({1, 3, 0, 64})); }) ==
        "ResNet: expected a height and width >= 1, got [1, 3, 0, 64]");
  using Maps = std::vector<torch::Tensor>;
  const auto decode = [&](const Maps& maps) {
    return error([&] {
      models::unet::UnetDecoder decoder(std::vector<int64_t>{3, 8, 16}, std::vector<int64_t>{8, 4});
      decoder(maps);
    });
  };
  const Maps maps = {torch::ones({1, 3, 8, 8}), torch::ones({1, 8, 4, 4}),
                     torch::ones({1, 16, 2, 2})};
  CHECK(decode(maps) == "no error");
  CHECK(decode({maps[0], maps[1]}) == "UnetDecoder: expected 3 maps, got 2");
  CHECK(decode({torch::Tensor(), maps[1], maps[2]}) ==
        "UnetDecoder: expected map 0 [N, 3, H, W] of one batch, got an undefined tensor");
  CHECK(decode({torch::ones({2, 3, 8, 8}), maps[1], maps[2]}) ==
        "UnetDecoder: expected map 1 [N, 8, H, W] of one batch, got [1, 8, 4, 4]");
  CHECK(error([&] { models::unet::Unet()(x); }) ==
        "Unet: expected input [N, 3, H, W], got [1, 1, 64, 64]");
}

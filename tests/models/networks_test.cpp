#include <convkit/models.h>
#include <convkit/summary.h>

#include "parity/reference.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>
#include <filesystem>

namespace {

using namespace convkit;
using parity::check_alive;
using parity::check_equal;

/// Those that create() has not, by the names that tests/parity/networks.py gives them.
models::Network build_image_maker(const std::string& name) {
  if (name == "dcgan_generator") return models::dcgan::Generator();
  if (name == "dcgan_generator_options") return models::dcgan::Generator(7, 8, 1);
  if (name == "dcgan_discriminator") return models::dcgan::Discriminator();
  if (name == "dcgan_discriminator_options") return models::dcgan::Discriminator(1, 8);
  if (name == "edsr_options") {
    return models::edsr::EdsrModel(models::EdsrOptions{.scale = 4,
                                                       .n_resblocks = 3,
                                                       .n_feats = 8,
                                                       .rgb_range = 1.5,
                                                       .rgb_mean = {0.1F, 0.2F, 0.3F},
                                                       .rgb_std = {2, 3, 0.7F},
                                                       .res_scale = 0.1});
  }
  if (name == "edsr_body") {
    return models::edsr::EdsrModel(
        models::EdsrOptions{.n_resblocks = 2, .n_feats = 8, .n_colors = 4, .no_upsampling = true});
  }
  REQUIRE(name.starts_with("edsr_base_x"));
  return models::edsr_base(name.back() - '0');
}

/// Those with options of their own, likewise.
models::Network build(const std::string& name) {
  if (name.starts_with("dcgan_") || name.starts_with("edsr_")) return build_image_maker(name);
  if (name == "mobilenetv1_100_options") {
    return models::Network(models::mobilenetv1_100({.num_classes = 7,
                                                    .in_chans = 4,
                                                    .channel_multiplier = 0.75,
                                                    .head_conv = true,
                                                    .drop_rate = 0.3}));
  }
  if (name == "legacy_xception_options") {
    return models::Network(
        models::legacy_xception({.num_classes = 7, .in_chans = 4, .drop_rate = 0.3}));
  }
  if (name == "resnet50_dilated") {
    return models::Network(models::resnet50({.num_classes = 7,
                                             .zero_init_residual = true,
                                             .replace_stride_with_dilation = {false, true, true}}));
  }
  if (name == "resnet18_group_norm") {
    return models::Network(models::resnet18(
        {.num_classes = 7, .norm_layer = {.kind = Norm::kGroupNorm, .groups = 16}}));
  }
  if (name == "resnet18_frozen") {
    return models::Network(models::resnet18({.norm_layer = {.kind = Norm::kFrozenBatchNorm2d}}));
  }
  if (name == "mobilenet_v2_narrow") {
    return models::Network(models::mobilenet_v2(
        {.num_classes = 7, .width_mult = 0.35, .round_nearest = 4, .dropout = 0.5}));
  }
  if (name == "mobilenet_v3_small_tail") {
    return models::Network(models::mobilenet_v3_small({.num_classes = 7,
                                                       .width_mult = 0.75,
                                                       .reduced_tail = true,
                                                       .dilated = true,
                                                       .dropout = 0.5}));
  }
  if (name == "efficientnet_b0_options") {
    return models::Network(
        models::efficientnet_b0({.num_classes = 7,
                                 .dropout = 0.5,
                                 .stochastic_depth_prob = 0.6,
                                 .norm_layer = Norm{.kind = Norm::kGroupNorm, .groups = 8}}));
  }
  if (name == "convnext_tiny_options") {
    return models::Network(models::convnext_tiny(
        {.num_classes = 7, .stochastic_depth_prob = 0.5, .layer_scale = 0.3}));
  }
  if (name == "alexnet_options") {
    return models::Network(models::alexnet({.num_classes = 7, .dropout = 0.3}));
  }
  if (name == "vgg11_options") {
    return models::Network(
        models::vgg11({.num_classes = 7, .init_weights = false, .dropout = 0.3}));
  }
  if (name == "densenet121_dropout") {
    return models::Network(models::densenet121({.num_classes = 7, .bn_size = 2, .drop_rate = 0.3}));
  }
  if (name == "mnasnet0_5_version_1") {
    return models::Network(models::mnasnet0_5({.num_classes = 7, .dropout = 0.3, .version = 1}));
  }
  if (name == "regnet_y_400mf_options") {
    return models::Network(
        models::regnet_y_400mf({.num_classes = 7,
                                .stem_width = 16,
                                .norm_layer = {.kind = Norm::kGroupNorm, .groups = 8},
                                .activation = {Activation::kSiLU}}));
  }
  if (name == "googlenet_options") {
    return models::Network(models::googlenet({.num_classes = 7,
                                              .transform_input = true,
                                              .init_weights = false,
                                              .dropout = 0.5,
                                              .dropout_aux = 0.3}));
  }
  if (name == "inception_v3_plain") {
    return models::Network(models::inception_v3({.num_classes = 7,
                                                 .aux_logits = false,
                                                 .transform_input = true,
                                                 .init_weights = false,
                                                 .dropout = 0.3}));
  }
  if (name == "fcn_resnet50_aux") {
    return models::Network(models::fcn_resnet50({.num_classes = 7, .aux_loss = true}));
  }
  if (name == "deeplabv3_mobilenet_v3_large_aux") {
    return models::Network(
        models::deeplabv3_mobilenet_v3_large({.num_classes = 7, .aux_loss = true}));
  }
  if (name == "unet_options") {
    models::unet::UnetOptions options;
    options.encoder_name = "resnet18";
    options.encoder_depth = 4;
    options.decoder_use_norm = {Norm::kNone};
    options.decoder_channels = {64, 48, 32, 16};
    options.decoder_attention_type = AttentionType::kSCSE;
    options.decoder_interpolation = torch::kBilinear;
    options.in_channels = 4;
    options.classes = 3;
    options.activation = {Activation::kSigmoid};
    return models::Network(models::unet::Unet(options));
  }
  return models::create(name);
}

/// As networks.py has it.
int64_t hashed(const torch::Tensor& tensor) {
  if (!tensor.defined()) return 0;  // no gradient
  const torch::Tensor bits =
      tensor.detach().contiguous().reshape({-1}).view(torch::kInt).to(torch::kLong);
  return (bits * (2 * torch::arange(bits.numel()) + 1)).sum().item<int64_t>();
}

/// One file of networks.py.
class Reference {
 public:
  explicit Reference(const std::filesystem::path& path) {
    Checkpoint file = load_checkpoint(path);
    json = nlohmann::json::parse(file.metadata.at("network"));
    const std::string version = json.at("torch");
    INFO("Python's torch " << version << ", LibTorch " << TORCH_VERSION);
    REQUIRE(version.starts_with(TORCH_VERSION));
    tensors_ = std::move(file.state);
  }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  std::size_t count(const std::string& prefix) const {
    return with_prefix_removed(tensors_, prefix).size();
  }
  torch::Tensor tensor(const std::string& name) const { return tensors_[name].clone(); }
  StateDict state() const { return with_prefix_removed(tensors_, "state/"); }

  nlohmann::json json;

 private:
  StateDict tensors_;
};

void check_hashes(const std::string& what, const StateDict& ours, const nlohmann::json& python) {
  REQUIRE(ours.size() == python.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    INFO(what << " " << ours[i].key());
    CHECK(hashed(ours[i].value()) == python[i].get<int64_t>());
  }
}

/// Compares all that a network gives, under Python's names.
void check_outputs(const std::string& what, const models::MultiHead::Outputs& outputs,
                   const Reference& reference, const std::string& prefix) {
  CHECK(outputs.size() == reference.count(prefix));
  for (const auto& output : outputs) {
    const std::string name = prefix + output.key();
    REQUIRE(reference.has(name));
    check_alive(what + " " + output.key(), reference.tensor(name));
    check_equal(what + " " + output.key(), output.value(), reference.tensor(name));
  }
}

void check_inference(models::Network& network, const Reference& reference,
                     const std::string& size) {
  const torch::NoGradGuard no_grad;
  network->eval();
  const torch::Tensor x = reference.tensor(size + "x");
  const models::MultiHead::Outputs outputs = network.outputs(x);
  check_outputs("eval output", outputs, reference, size + "eval_output/");
  check_equal("forward's", network(x), outputs[0].value());
  check_equal("a clone's", models::Network(network->clone())(x), outputs[0].value());
  if (!reference.has(size + "map/0")) return;

  const auto maps = network.features(x);
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const std::string name = size + "map/" + std::to_string(i);
    REQUIRE(reference.has(name));
    check_alive(name, reference.tensor(name));
    check_equal(name, maps[i], reference.tensor(name));
  }
  CHECK_FALSE(reference.has(size + "map/" + std::to_string(maps.size())));
}

void check_training_step(models::Network& network, const Reference& reference,
                         const std::string& size, const nlohmann::json& hashes) {
  network->train();
  network->zero_grad();
  torch::manual_seed(reference.json.at("seed").get<uint64_t>() + 1);
  const torch::Tensor x = reference.tensor(size + "x").requires_grad_();
  const models::MultiHead::Outputs outputs = network.outputs(x);
  check_outputs("train output", outputs, reference, size + "train_output/");
  std::vector<torch::Tensor> gradients_of_outputs;
  for (const auto& output : outputs) {
    gradients_of_outputs.push_back(reference.tensor(size + "gradient/" + output.key()));
  }
  torch::autograd::backward(outputs.values(), gradients_of_outputs);
  CHECK(hashed(x.grad()) == hashes.at("input_gradient").get<int64_t>());
  StateDict gradients;
  for (const auto& parameter : network->named_parameters()) {
    gradients.insert(parameter.key(), parameter.value().grad());
  }
  check_hashes("gradient of", gradients, hashes.at("gradients"));
  check_hashes("after the training forward:", state_dict(*network), hashes.at("trained_once"));
}

void check_network(const Reference& reference) {
  torch::manual_seed(reference.json.at("seed").get<uint64_t>());
  models::Network network = build(reference.json.at("name"));
  CHECK(parameter_count(*network) == reference.json.at("parameters").get<int64_t>());
  REQUIRE(support::keys(*network) == reference.json.at("keys").get<std::vector<std::string>>());
  check_hashes("initial", state_dict(*network), reference.json.at("initial"));

  load_state_dict(*network, reference.state());
  const nlohmann::json& steps = reference.json.at("steps");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string size = std::to_string(i) + "/";
    INFO("size " << i);
    check_inference(network, reference, size);
    const torch::Tensor x = reference.tensor(size + "x");
    const Summary summary = summarize(*network, [&] { network.outputs(x); });
    CHECK(2 * summary.macs == steps[i].at("flops").get<int64_t>());
    CHECK(summary.parameters == reference.json.at("parameters").get<int64_t>());
    check_training_step(network, reference, size, steps[i]);
  }
}

}  // namespace

TEST_CASE("every network is equal to Python's, bit for bit", "[networks]") {
  const char* folder = std::getenv("CONVKIT_NETWORKS");
  if (folder == nullptr) SKIP("no networks of Python's: no Python has the LibTorch in use");
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // as networks.py
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    INFO(entry.path().stem().string());
    const std::string error = support::error([&] { check_network(Reference(entry.path())); });
    CHECK(error == "no error");
    ++count;
  }
  at::set_num_threads(threads);
  CHECK(count >= 1);
}

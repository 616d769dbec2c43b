// The short examples of the README files, in one program that runs them:
//   snippets modules weights
// readme_test.py holds the README files to the text of this file, and runs it.
#include "cli.h"

#include <convkit/convkit.h>

#include <array>
#include <cstddef>
#include <iostream>
#include <map>
#include <optional>
#include <span>
#include <sstream>
#include <string>

namespace {

void modules() {
  // What a user has downloaded from torchvision has 1000 classes.
  convkit::save_checkpoint("resnet18.pth",
                           convkit::state_dict(*convkit::models::create("resnet18")));
  const torch::Tensor image = torch::randn({1, 3, 64, 64});

  auto net = convkit::models::create("resnet18", {.num_classes = 10});
  convkit::load_state_dict(*net, convkit::load_checkpoint("resnet18.pth").state,
                           {.skip_mismatched = true});
  std::vector<torch::Tensor> maps = net.features(image);  // 1/2, 1/4, ... 1/32 of the image's size

  auto fcn = convkit::models::fcn_resnet50({.aux_loss = true});
  auto outputs = fcn->outputs(image);
  torch::Tensor mask = outputs["out"].argmax(1);  // and outputs["aux"], for the loss

  namespace unet = convkit::models::unet;
  auto segmenter = unet::Unet(unet::UnetOptions{.encoder_name = "resnet18", .classes = 3});
  torch::Tensor masks = segmenter(image);  // [1, 3, H, W]

  using convkit::SeparableConv2dOptions;
  auto half = convkit::SeparableConv2d(SeparableConv2dOptions(64, 128).stride(2));
  auto lean = convkit::SeparableConv2d(SeparableConv2dOptions(64, 128).depthwise_bias(false));

  auto a = convkit::ConvBlock(3, 64);
  auto b = a;           // a second name of the same module
  auto c = a->clone();  // a second module

  std::cout << "maps: " << maps.size() << ", masks: " << mask.sizes() << ", " << masks.sizes()
            << '\n'
            << "parameters: " << convkit::parameter_count(*half) << " and "
            << convkit::parameter_count(*lean) << '\n'
            << "one module: " << (a.get() == b.get()) << ", and " << (a.ptr() == c) << '\n';
}

void weights() {
  auto net = convkit::ConvBlock(3, 64);
  convkit::save_checkpoint("from_python.pt", convkit::state_dict(*net));

  convkit::load_state_dict(*net, convkit::load_checkpoint("from_python.pt").state);
  convkit::save_checkpoint("to_python.safetensors", convkit::state_dict(*net));

  convkit::save_torchscript(*net, torch::randn({1, 3, 32, 32}), "traced.pt");

  const auto state = convkit::state_dict(*net);
  std::vector<std::byte> bytes = convkit::save_checkpoint(state, ".safetensors");
  convkit::save_checkpoint("model.safetensors", state, {.max_shard_size = 5'000'000'000});
  std::ostringstream message_stream;
  convkit::save_checkpoint(message_stream, state, ".pt");
  const std::string message = message_stream.str();
  auto received = convkit::load_checkpoint(std::as_bytes(std::span(message))).state;

  try {
    convkit::load_state_dict(*net, convkit::load_checkpoint("last.pt").state);
  } catch (const convkit::CheckpointError& error) {
    // The first run has no weights to go on with.
    if (error.problem() != convkit::CheckpointError::Problem::kNotFound) throw;
  }
}

void summarize() {
  auto net = convkit::Sequential{convkit::ConvBlock(3, 16), convkit::Upsampler(16, 8)};
  std::cout << convkit::summarize(*net, torch::randn({1, 3, 32, 32}));
}

/// tiny_net.py's TinyNet with a mistake: another eps.
void broken_port() {
  const auto recording = convkit::load_recording("tiny_net.safetensors");
  torch::set_num_threads(static_cast<int>(recording.threads));
  torch::manual_seed(static_cast<uint64_t>(recording.seed));
  auto first = convkit::ConvBlock(3, 16);
  first->bn->options.eps(1e-3);
  auto body =
      convkit::Sequential{first, convkit::SeparableConv2d(16, 32), convkit::Upsampler(32, 8)};
  auto net = convkit::Sequential{{"body", body}};
  std::cout << convkit::compare(*net, recording);
}

void several_outputs() {
  const torch::Tensor image = torch::randn({1, 3, 64, 64});
  using Tensors = std::vector<torch::Tensor>;
  auto net = convkit::models::create("resnet18");
  const auto forward = [&](const Tensors& x) -> Tensors { return net.features(x[0]); };
  const auto recording = convkit::record(*net, forward, {image});
  std::cout << convkit::compare(*net, forward, recording);
}

struct Crops {
  torch::Tensor images;

  int64_t size() const { return images.size(0); }
  std::pair<torch::Tensor, int64_t> get(int64_t index,
                                        std::optional<at::Generator> generator) const {
    const torch::Tensor image = images[index];
    return {convkit::transforms::random_crop(image, {24}, {.padding = {4}}, generator), index};
  }
};

void loading() {
  torch::manual_seed(0);
  namespace data = convkit::data;
  const auto parts = data::random_split(Crops{torch::randn({10, 3, 32, 32})}, {0.8, 0.2});
  data::DataLoader loader(parts[0], {.batch_size = 3, .shuffle = true, .num_workers = 2});
  for (const auto& [images, targets] : loader) {
    std::cout << images.sizes() << ' ' << targets.sizes() << '\n';
  }

  auto batch = loader.begin();
  convkit::Tree state = loader.state_dict();  // after the first of three batches
  loader.load_state_dict(state);
  int64_t left = 0;
  for ([[maybe_unused]] const auto& each : loader) ++left;
  std::cout << "left: " << left << '\n';
}

void training() {
  torch::manual_seed(0);
  auto net = convkit::Sequential{convkit::ConvBlock(3, 8), convkit::SeparableConv2d(8, 4)};
  const torch::Tensor x = torch::randn({4, 3, 8, 8});
  const torch::Tensor y = torch::randn({4, 4, 8, 8});

  namespace optim = convkit::optim;
  optim::AdamW optimizer(net->parameters(), {.lr = 1e-3, .weight_decay = 0.05});
  optim::CosineAnnealingLR schedule(optimizer, {.T_max = 4});
  optim::AveragedModel average(*net, {.ema_decay = 0.99});
  for (int epoch = 0; epoch < 2; ++epoch) {
    optimizer.zero_grad();
    torch::mse_loss(net(x), y).backward();
    optim::clip_grad_norm_(net->parameters(), 1.0);
    optimizer.step();
    average.update_parameters(*net);
    schedule.step();
    std::cout << "epoch " << epoch << ", then lr " << optimizer.lr() << '\n';
  }

  convkit::Tree all = convkit::Tree::dict();
  all.set("model", convkit::state_dict(*net));
  all.set("optimizer", optimizer.state_dict());
  all.set("schedule", schedule.state_dict());
  all.set("epoch", 2);
  convkit::save_tree("resume.pt", all);

  convkit::Tree saved = convkit::load_tree("resume.pt");
  convkit::load_state_dict(*net, saved.at("model").state_dict());
  optimizer.load_state_dict(saved.at("optimizer"));
  schedule.load_state_dict(saved.at("schedule"));
  std::cout << "goes on at epoch " << saved.at("epoch").integer() << '\n';

  optim::SGD two({{net[0]->parameters(), {.lr = 1e-3}}, {net[1]->parameters(), {.lr = 1e-2}}});
  two.options(1).momentum = 0.9;
  std::cout << "groups: " << two.groups() << ", lr " << two.lr(0) << " and " << two.lr(1) << '\n';

  convkit::amp::GradScaler scaler({.init_scale = 1024, .growth_interval = 1});
  two.zero_grad();
  torch::Tensor loss;
  {
    const convkit::amp::Autocast autocast(torch::kCPU, {.dtype = torch::kHalf});
    loss = torch::mse_loss(net(x), y);
  }
  scaler.scale(loss).backward();
  const bool stepped = scaler.step(two);
  scaler.update();
  std::cout << (stepped ? "stepped" : "left out") << ", then scale " << scaler.get_scale() << '\n';
}

void images() {
  torch::manual_seed(0);
  const torch::Tensor photograph = torch::randint(0, 256, {3, 480, 640}, torch::kByte);
  const torch::Tensor classes = torch::randint(0, 21, {480, 640}, torch::kLong);
  const torch::Tensor corners = torch::tensor({{40.0, 40.0, 600.0, 400.0}, {0.0, 0.0, 4.0, 4.0}});
  const torch::Tensor labels = torch::tensor({3, 5});

  namespace T = convkit::transforms;
  T::Sample sample{.image = photograph,
                   .mask = classes,
                   .boxes = T::BoundingBoxes{corners, T::BoxFormat::kXyxy, {480, 640}}};
  sample = T::random_horizontal_flip(T::random_resized_crop(sample, {224}));
  auto [boxes, valid] = T::sanitize_bounding_boxes(*sample.boxes);
  torch::Tensor kept = labels.index({valid});
  std::cout << "image " << sample.image.sizes() << ", mask " << sample.mask.sizes() << ", boxes "
            << boxes.data.size(0) << ", of classes " << kept.sizes() << '\n';

  const std::array mean{0.485, 0.456, 0.406};
  const std::array std{0.229, 0.224, 0.225};
  convkit::Sequential augment{T::RandomResizedCrop(224), T::RandomHorizontalFlip(),
                              T::ColorJitter(T::ColorJitterOptions{.brightness = {0.4}}),
                              T::ToTensor(), T::Normalize(mean, std)};
  torch::Tensor x = augment(photograph);
  std::cout << "augmented " << x.sizes() << '\n';
}

const std::map<std::string, void (*)()> kSnippets = {{"modules", modules},
                                                     {"weights", weights},
                                                     {"summarize", summarize},
                                                     {"broken_port", broken_port},
                                                     {"several_outputs", several_outputs},
                                                     {"training", training},
                                                     {"images", images},
                                                     {"loading", loading}};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs the short examples of the README files, in the current folder.", "snippets");
  std::vector<std::string> chosen;
  app.add_option("NAME", chosen, "Those of this file's functions that run")
      ->required()
      ->check(CLI::IsMember(kSnippets));
  app.footer("snippets modules weights");
  return cli::run(app, argc, argv, [&] {
    for (const std::string& name : chosen) kSnippets.at(name)();
    return 0;
  });
}

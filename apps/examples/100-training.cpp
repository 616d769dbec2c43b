// Training on a folder of images, stopped in the middle of an epoch and gone on with. apps/train is the whole program.
#include <convkit/convkit.h>

#include <filesystem>
#include <iostream>
#include <optional>

namespace {

/// Photographs of cats, which are bright here, and of dogs, which are dark.
void write_photographs() {
  for (const auto& [name, shift] : {std::pair("cat", 100), std::pair("dog", 0)}) {
    const std::string folder = std::string("photographs/") + name;
    std::filesystem::create_directories(folder);
    for (int i = 0; i < 8; ++i) {
      const torch::Tensor image = torch::randint(shift, shift + 150, {3, 60, 80}, torch::kByte);
      convkit::write_image(image, folder + "/" + std::to_string(i) + ".png");
    }
  }
}

torch::Tensor augment(const torch::Tensor& image, std::optional<at::Generator> generator) {
  namespace T = convkit::transforms;
  return T::to_tensor(T::random_resized_crop(image, {32}, {}, generator));
}

struct Training {
  convkit::models::Network net = convkit::models::create("resnet18", {.num_classes = 2});
  convkit::data::ImageFolder dataset{"photographs", {.transform = augment}};
  convkit::data::DataLoader<convkit::data::ImageFolder> loader{
      dataset, {.batch_size = 4, .shuffle = true, .num_workers = 2}};
  convkit::optim::SGD optimizer{net->parameters(), {.lr = 0.01, .momentum = 0.9}};
  convkit::optim::CosineAnnealingLR schedule{optimizer, {.T_max = 3}};
  convkit::optim::AveragedModel average{*net, {.ema_decay = 0.9}};
  int epoch = 0;
  int step = 0;

  /// Three epochs, or up to this step.
  void run(int last_step = -1) {
    for (; epoch < 3; ++epoch) {
      for (const auto& [images, labels] : loader) {
        optimizer.zero_grad();
        const torch::Tensor loss = torch::cross_entropy_loss(net(images), labels);
        loss.backward();
        optimizer.step();
        average.update_parameters(*net);
        if (++step == last_step) return save();  // within the loop, after which the epoch is over
      }
      schedule.step();
    }
  }

  void save() const {
    convkit::Tree all = convkit::Tree::dict();
    all.set("model", convkit::state_dict(*net));
    all.set("average", convkit::state_dict(average));
    all.set("optimizer", optimizer.state_dict());
    all.set("schedule", schedule.state_dict());
    all.set("epoch", epoch);
    all.set("step", step);
    all.set("loader", loader.state_dict());
    convkit::save_tree("last.pt", all);  // which torch.load(weights_only=True) reads
  }

  void load() {
    const convkit::Tree all = convkit::load_tree("last.pt");
    convkit::load_state_dict(*net, all.at("model").state_dict());
    convkit::load_state_dict(average, all.at("average").state_dict());
    optimizer.load_state_dict(all.at("optimizer"));
    schedule.load_state_dict(all.at("schedule"));
    epoch = static_cast<int>(all.at("epoch").integer());
    step = static_cast<int>(all.at("step").integer());
    loader.load_state_dict(all.at("loader"));  // at last: it sets the generators
  }
};

}  // namespace

int main() {
  torch::manual_seed(0);
  write_photographs();

  torch::manual_seed(1);
  Training whole;
  whole.run();
  std::cout << whole.dataset.size() << " images of " << whole.dataset.classes().size()
            << " classes, " << whole.step << " steps\n";

  torch::manual_seed(1);
  Training stopped;
  stopped.run(6);  // in the middle of the second epoch

  Training other;  // as in another process
  other.load();
  other.run();
  bool equal = true;
  for (const auto& entry : convkit::state_dict(whole.average)) {
    equal = equal && torch::equal(entry.value(), convkit::state_dict(other.average)[entry.key()]);
  }
  for (const auto& entry : convkit::state_dict(*whole.net)) {
    equal = equal && torch::equal(entry.value(), convkit::state_dict(*other.net)[entry.key()]);
  }
  std::cout << "stopped and gone on with, the same weights: " << (equal ? "yes" : "no") << '\n';
}

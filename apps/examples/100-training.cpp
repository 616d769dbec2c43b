// Training on a folder of images, and a file from which it goes on. apps/train is the whole program.
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

}  // namespace

int main() {
  torch::manual_seed(0);
  write_photographs();
  auto net = convkit::models::create("resnet18", {.num_classes = 2});
  const auto augment = [](const torch::Tensor& image, std::optional<at::Generator> generator) {
    namespace T = convkit::transforms;
    return T::to_tensor(T::random_resized_crop(image, {32}, {}, generator));
  };

  convkit::data::ImageFolder dataset("photographs", {.transform = augment});
  convkit::data::DataLoader loader(dataset, {.batch_size = 4, .shuffle = true, .num_workers = 2});
  convkit::optim::SGD optimizer(net->parameters(), {.lr = 0.01, .momentum = 0.9});
  double first = 0, last = 0;
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (const auto& [images, labels] : loader) {
      optimizer.zero_grad();
      const torch::Tensor loss = torch::cross_entropy_loss(net(images), labels);
      loss.backward();
      optimizer.step();
      last = loss.item<double>();
      if (first == 0) first = last;
    }
  }
  std::cout << dataset.size() << " images of " << dataset.classes().size() << " classes, "
            << 3 * loader.size() << " steps, the loss "
            << (last < first / 2 ? "falls" : "does not fall") << '\n';

  convkit::Tree all = convkit::Tree::dict();
  all.set("model", convkit::state_dict(*net));
  all.set("optimizer", optimizer.state_dict());
  all.set("loader", loader.state_dict());
  convkit::save_tree("last.pt", all);  // which torch.load(weights_only=True) reads

  net->eval();
  torch::Tensor image = convkit::read_image("photographs/cat/1.png");
  torch::Tensor logits = net(convkit::models::preset("resnet18")(image).unsqueeze(0));
  std::cout << "scores of one image: " << logits.sizes() << '\n';
}

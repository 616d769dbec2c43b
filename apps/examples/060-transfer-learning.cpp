// Old weights, a new head: a network of 1000 classes learns two others, by its last layer alone.
#include <convkit/convkit.h>

#include <algorithm>
#include <iostream>

int main() {
  torch::manual_seed(0);
  // With a file of torchvision's: convkit::load_checkpoint("resnet18-f37072fd.pth").state
  const auto old_state = convkit::state_dict(*convkit::models::create("resnet18"));

  auto net = convkit::models::create("resnet18", {.num_classes = 2});
  auto result = convkit::load_state_dict(*net, old_state, {.skip_mismatched = true});
  for (auto& parameter : net->named_parameters()) {
    const bool fresh = std::ranges::count(result.skipped_keys, parameter.key()) > 0;
    parameter.value().set_requires_grad(fresh);
  }
  for (const auto& key : result.skipped_keys) std::cout << "fresh and trainable: " << key << '\n';

  net->eval();  // batch norms keep their old statistics
  const torch::Tensor labels = torch::arange(8) % 2;
  const torch::Tensor images = torch::randn({8, 3, 64, 64}) + labels.view({8, 1, 1, 1});
  convkit::optim::AdamW optimizer(net->parameters(), {.lr = 0.003});
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    const torch::Tensor loss = torch::cross_entropy_loss(net(images), labels);
    loss.backward();
    optimizer.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  const bool same =
      torch::equal(convkit::state_dict(*net)["conv1.weight"], old_state["conv1.weight"]);
  std::cout << "the loss is " << (last < first / 2 ? "less than half" : "hardly better")
            << ", the first layer is " << (same ? "as it was" : "another one") << '\n';
}

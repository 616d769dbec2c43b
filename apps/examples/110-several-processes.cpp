// Training by several processes, which torchrun starts:
//   torchrun --no-python --nproc-per-node 2 110-several-processes
#include <convkit/convkit.h>

#include <iostream>

int main() {
  torch::manual_seed(0);
  const auto group = convkit::parallel::init_process_group();
  auto net = convkit::models::resnet18({.num_classes = 10});
  convkit::parallel::DistributedDataParallel ddp(net, group);

  torch::manual_seed(group.rank());  // images of its own
  const torch::Tensor images = torch::randn({2, 3, 64, 64});
  const torch::Tensor labels = torch::randint(10, {2}, torch::kLong);
  convkit::optim::SGD optimizer(ddp.parameters(), {.lr = 0.1, .momentum = 0.9});
  for (int step = 0; step < 2; ++step) {
    optimizer.zero_grad();
    torch::cross_entropy_loss(ddp(images), labels).backward();
    optimizer.step();
  }
  if (group.rank() == 0) {
    convkit::save_checkpoint("net.safetensors", convkit::state_dict(*net));
    std::cout << group.world_size() << " processes trained one network\n";
  }
  group.barrier();
}

// A network as the backbone of another one: its maps go through a pyramid and into a head of your own.
#include <convkit/convkit.h>

#include <iostream>
#include <string>

int main() {
  torch::manual_seed(0);
  auto backbone = convkit::models::create("resnet18");
  auto pyramid = convkit::FeaturePyramidNetwork(std::vector<int64_t>{64, 128, 256, 512}, 32);
  auto head = convkit::Sequential{convkit::ConvBlock(32, 32), torch::nn::Conv2d(32, 5, 1)};
  const torch::Tensor image = torch::randn({1, 3, 128, 128});

  std::vector<torch::Tensor> maps =
      backbone.features(image);  // 1/2, 1/4, ... 1/32 of the image's size
  convkit::FeaturePyramidNetworkImpl::Maps levels;
  for (std::size_t i = 1; i < maps.size(); ++i) {
    std::cout << "backbone " << i << ": " << maps[i].sizes() << '\n';
    levels.insert(std::to_string(i), maps[i]);
  }
  for (const auto& level : pyramid(levels)) {
    std::cout << "level " << level.key() << ": " << level.value().sizes() << ", scores "
              << head(level.value()).sizes() << '\n';
  }
}

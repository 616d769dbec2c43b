#include "odd_workloads.h"

#include <convkit/module.h>

#include "compile/published.h"

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>

#include <utility>

namespace bench {
namespace {

using Sizes = std::vector<int64_t>;
using torch::nn::Conv2dOptions;
using torch::nn::ConvTranspose2dOptions;

struct Network {
  std::string title;
  std::string name;
  Sizes sizes;
};

struct Layer {
  std::string title;
  Sizes sizes;
  Conv2dOptions options;
};

struct TransposedLayer {
  std::string title;
  Sizes sizes;
  ConvTranspose2dOptions options;
};

const std::vector<Network> kNetworks = {
    {"MTCNN's PNet", "pnet", {1, 3, 427, 640}}, {"MTCNN's PNet, small", "pnet", {1, 3, 24, 36}},
    {"MTCNN's RNet", "rnet", {1, 3, 24, 24}},   {"MTCNN's RNet, batch 16", "rnet", {16, 3, 24, 24}},
    {"MTCNN's ONet", "onet", {1, 3, 48, 48}},   {"MTCNN's ONet, batch 16", "onet", {16, 3, 48, 48}},
    {"CREPE tiny", "crepe_tiny", {1, 1024}},    {"CREPE tiny, batch 16", "crepe_tiny", {16, 1024}},
    {"CREPE full", "crepe_full", {1, 1024}},
};

std::vector<Layer> layers() {
  return {
      {"one pixel high, 1x9", {1, 64, 1, 4000}, Conv2dOptions(64, 64, {1, 9}).padding({0, 4})},
      {"one pixel wide, 9x1", {1, 64, 4000, 1}, Conv2dOptions(64, 64, {9, 1}).padding({4, 0})},
      {"one pixel wide, batch 8", {8, 64, 500, 1}, Conv2dOptions(64, 64, {9, 1}).padding({4, 0})},
      {"one pixel high, 1x512", {1, 1, 1, 1532}, Conv2dOptions(1, 128, {1, 512}).stride({1, 4})},
      {"one pixel wide, 512x1", {1, 1, 1532, 1}, Conv2dOptions(1, 128, {512, 1}).stride({4, 1})},
      {"one pixel wide, 64x1", {1, 256, 191, 1}, Conv2dOptions(256, 128, {64, 1})},
      {"one pixel high, groups 64", {1, 64, 1, 4000}, Conv2dOptions(64, 64, {1, 9}).groups(64)},
      {"21x21", {1, 16, 64, 64}, Conv2dOptions(16, 16, 21).padding(10)},
      {"31x31, groups 64", {1, 64, 56, 56}, Conv2dOptions(64, 64, 31).padding(15).groups(64)},
      {"17x1", {1, 32, 64, 64}, Conv2dOptions(32, 32, {17, 1}).padding({8, 0})},
      {"channels 1 to 1", {1, 1, 512, 512}, Conv2dOptions(1, 1, 5).padding(2)},
      {"channels 2 to 5", {1, 2, 256, 256}, Conv2dOptions(2, 5, 3).padding(1)},
      {"channels 3 to 3", {1, 3, 512, 512}, Conv2dOptions(3, 3, 3).padding(1)},
      {"channels 3 to 3, batch 8", {8, 3, 128, 128}, Conv2dOptions(3, 3, 3).padding(1)},
      {"groups 16 of 4", {1, 64, 56, 56}, Conv2dOptions(64, 64, 3).padding(1).groups(16)},
      {"groups 64 of 4", {1, 256, 28, 28}, Conv2dOptions(256, 256, 3).padding(1).groups(64)},
      {"groups 3 of 5", {1, 15, 56, 56}, Conv2dOptions(15, 15, 3).padding(1).groups(3)},
      {"groups 32, to twice", {1, 32, 56, 56}, Conv2dOptions(32, 64, 3).padding(1).groups(32)},
      {"image 1 x 1", {1, 512, 1, 1}, Conv2dOptions(512, 512, 3).padding(1)},
      {"image 2 x 2", {1, 512, 2, 2}, Conv2dOptions(512, 512, 3).padding(1)},
      {"image 7 x 7, 7x7", {1, 512, 7, 7}, Conv2dOptions(512, 256, 7)},
      {"image 3 x 2000", {1, 32, 3, 2000}, Conv2dOptions(32, 32, 3).padding(1)},
      {"image 2000 x 3", {1, 32, 2000, 3}, Conv2dOptions(32, 32, 3).padding(1)},
      {"dilation 8", {1, 32, 64, 64}, Conv2dOptions(32, 32, 3).padding(8).dilation(8)},
      {"dilation 18", {1, 256, 33, 33}, Conv2dOptions(256, 64, 3).padding(18).dilation(18)},
      {"dilation 64, 1x2", {1, 64, 1, 4000}, Conv2dOptions(64, 64, {1, 2}).dilation({1, 64})},
  };
}

std::vector<TransposedLayer> transposed_layers() {
  return {
      {"transposed, 4x4 stride 2",
       {1, 64, 28, 28},
       ConvTranspose2dOptions(64, 32, 4).stride(2).padding(1)},
      {"transposed, one pixel high",
       {1, 64, 1, 250},
       ConvTranspose2dOptions(64, 32, {1, 16}).stride({1, 8})},
      {"transposed, groups 32",
       {1, 32, 28, 28},
       ConvTranspose2dOptions(32, 32, 4).stride(2).padding(1).groups(32)},
  };
}

template <typename Convolution>
OddWorkload workload_of(const std::string& title, const Sizes& sizes, Convolution convolution) {
  convkit::Sequential net{convolution, torch::nn::ReLU()};
  net->eval();
  return {title, sizes, net.ptr(), [net](const convkit::Compiled::Tensors& inputs) mutable {
            return convkit::Compiled::Tensors{net(inputs.at(0))};
          }};
}

}  // namespace

std::vector<OddWorkload> odd_workloads(const std::string& filter) {
  const auto is_asked = [&filter](const auto& given) {
    return given.title.find(filter) != std::string::npos;
  };
  std::vector<OddWorkload> found;
  for (const Network& given : kNetworks) {
    if (!is_asked(given)) continue;
    const published::Network network = published::make(given.name);
    found.push_back({given.title, given.sizes, network.module, network.forward});
  }
  for (const Layer& given : layers()) {
    if (!is_asked(given)) continue;
    found.push_back(workload_of(given.title, given.sizes, torch::nn::Conv2d(given.options)));
  }
  for (const TransposedLayer& given : transposed_layers()) {
    if (!is_asked(given)) continue;
    found.push_back(
        workload_of(given.title, given.sizes, torch::nn::ConvTranspose2d(given.options)));
  }
  return found;
}

}  // namespace bench

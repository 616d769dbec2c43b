// How far convolutions by Winograd's tiles are from float64, beside direct ones: a table over channels.
// Numbers are the largest difference in parts of the largest number of the result, of an image after a ReLU.
#include <convkit/compile.h>

#include <ATen/Parallel.h>
#include <torch/nn/modules/conv.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using torch::Tensor;

/// The geometry of a convolution that keeps the size of its image, as explain() names it.
std::string key_of(int64_t channels, int64_t size, int64_t kernel) {
  const auto square = [](int64_t side) {
    return std::to_string(side) + "x" + std::to_string(side);
  };
  const std::string image = std::to_string(channels) + "x" + square(size);
  return "conv2d 1x" + image + " to 1x" + image + " kernel " + square(kernel) +
         " stride 1x1 padding " + square(kernel / 2) + " " + square(kernel / 2) +
         " dilation 1x1 groups 1";
}

double difference(const Tensor& y, const Tensor& expected) {
  return ((y - expected).abs().max() / expected.abs().max()).item<double>();
}

void print_numbers(int64_t channels, int64_t kernel, const std::vector<std::string>& ways) {
  constexpr int64_t kSize = 48;
  torch::nn::Conv2d net(torch::nn::Conv2dOptions(channels, channels, kernel).padding(kernel / 2));
  net->eval();
  const Tensor x = torch::randn({1, channels, kSize, kSize}).relu();
  const Tensor expected = at::conv2d(x.to(torch::kDouble), net->weight.to(torch::kDouble),
                                     net->bias.to(torch::kDouble), 1, kernel / 2);
  for (const std::string& way : ways) {
    const convkit::CompileOptions options{.timing = false,
                                          .choices = {{key_of(channels, kSize, kernel), way}}};
    std::printf(" %.1e |", difference(convkit::compile(net, x, options)(x), expected));
  }
}

}  // namespace

int main() {
  const torch::NoGradGuard no_grad;
  at::set_num_threads(1);
  torch::manual_seed(1);
  std::printf("| channels | 3x3 direct | 2x2 | 4x4 | 6x6 | 5x5 direct | 2x2 | 4x4 |\n");
  std::printf("|---|---|---|---|---|---|---|---|\n");
  for (const int64_t channels : {32, 64, 128, 256, 512, 1024}) {
    std::printf("| %lld |", static_cast<long long>(channels));
    print_numbers(channels, 3, {"channels_last", "winograd 2x2", "winograd 4x4", "winograd 6x6"});
    print_numbers(channels, 5, {"channels_last", "winograd 2x2", "winograd 4x4"});
    std::printf("\n");
  }
}

// The parameters of a convolution: by the formula, and counted in the module.
#include "qa.h"

#include <convkit/arithmetic.h>
#include <convkit/module.h>

#include <torch/nn/modules/conv.h>

#include <fmt/format.h>

#include <string>

namespace q7 {

void print_row(const std::string& layer, const convkit::Conv2dShape& shape) {
  const torch::nn::Conv2d conv(
      torch::nn::Conv2dOptions(shape.in_channels, shape.out_channels,
                               {shape.kernel_size.height, shape.kernel_size.width})
          .groups(shape.groups)
          .bias(shape.bias));
  fmt::print("{:52}  {:>7}  {:>7}\n", layer, qa::with_commas(convkit::conv2d_parameters(shape)),
             qa::with_commas(convkit::parameter_count(*conv)));
}

void print_answer() {
  constexpr convkit::Conv2dShape shape{.in_channels = 3, .out_channels = 64, .kernel_size = 3};
  static_assert(convkit::conv2d_parameters(shape) == 1792);
  fmt::print(
      "(Kernel_H x Kernel_W x In_Channels + 1) x Out_Channels\n"
      "Conv2d(3, 64, kernel_size=3): (3 x 3 x 3 + 1) x 64 = {}\n\n"
      "In general, with groups and with or without a bias:\n"
      "(Kernel_H x Kernel_W x In_Channels / Groups + Bias) x Out_Channels\n\n",
      qa::with_commas(convkit::conv2d_parameters(shape)));

  fmt::print("{:52}  formula  counted\n", "layer");
  print_row("Conv2d(3, 64, kernel_size=3)", shape);
  print_row("Conv2d(3, 64, kernel_size=3, bias=False)",
            {.in_channels = 3, .out_channels = 64, .kernel_size = 3, .bias = false});
  print_row("Conv2d(64, 128, kernel_size=(3, 5))",
            {.in_channels = 64, .out_channels = 128, .kernel_size = {3, 5}});
  print_row("Conv2d(64, 128, kernel_size=3, groups=4)",
            {.in_channels = 64, .out_channels = 128, .kernel_size = 3, .groups = 4});
  print_row("Conv2d(64, 64, kernel_size=3, groups=64, bias=False)",
            {.in_channels = 64, .out_channels = 64, .kernel_size = 3, .groups = 64, .bias = false});
}

}  // namespace q7

int q7_parameters(int argc, char** argv) {
  return qa::answer(argc, argv, "7. How many parameters has a Conv2d?", q7::print_answer);
}

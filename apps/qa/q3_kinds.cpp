// The five kinds of convolution: what each does to the shape, and what it costs.
#include "qa.h"

#include <convkit/conv.h>
#include <convkit/module.h>

#include <c10/util/StringUtil.h>
#include <fmt/format.h>

namespace q3 {

void print_row(const char* kind, torch::nn::Conv2d conv, const torch::Tensor& x) {
  fmt::print("{:10}  {:15}  {:16}  {:>10}  {}\n", kind, c10::str(x.sizes()),
             c10::str(conv(x).sizes()), qa::with_commas(convkit::parameter_count(*conv)),
             c10::str(conv->weight.sizes()));
}

void print_answer() {
  const torch::Tensor image = torch::randn({1, 3, 32, 32});
  const torch::Tensor features = torch::randn({1, 64, 32, 32});
  fmt::print("kind        input            output            parameters  weight\n");
  print_row("standard", convkit::standard_conv2d(3, 64), image);
  print_row("strided", convkit::strided_conv2d(3, 64), image);
  print_row("dilated", convkit::dilated_conv2d(3, 64), image);
  print_row("depthwise", convkit::depthwise_conv2d(64), features);
  print_row("pointwise", convkit::pointwise_conv2d(64, 128), features);
  fmt::print(
      "\n"
      "standard   3x3 over all channels; padding 1 keeps the size\n"
      "strided    every second position: half the size\n"
      "dilated    3x3 with gaps sees 5x5 at the same cost; padding 2 keeps the size\n"
      "depthwise  each channel by a filter of its own (groups = channels)\n"
      "pointwise  1x1: mixes the channels of each pixel\n");
}

}  // namespace q3

int q3_kinds(int argc, char** argv) {
  return qa::answer(argc, argv, "3. How to implement different types of convolutions?",
                    q3::print_answer);
}

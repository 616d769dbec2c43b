// A transposed convolution doubles the resolution, and learns how.
#include "qa.h"

#include <convkit/arithmetic.h>
#include <convkit/upsample.h>

#include <c10/util/StringUtil.h>
#include <fmt/format.h>

namespace q6 {

void print_answer() {
  convkit::Upsampler upconv(64, 32);
  const torch::Tensor x = torch::randn({1, 64, 16, 16});
  fmt::print(
      "Learned upsampling: used to increase resolution, in segmentation and in GANs.\n\n"
      "ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1), here as Upsampler(64, 32)\n"
      "input       {}\noutput      {}\nparameters  {}\nweight      {}\n\n",
      c10::str(x.sizes()), c10::str(upconv(x).sizes()),
      qa::with_commas(convkit::parameter_count(*upconv)),
      c10::str(upconv->conv_transpose->weight.sizes()));

  fmt::print(
      "output = (input - 1) stride - 2 padding + dilation (kernel_size - 1)"
      " + output_padding + 1\n");
  constexpr int64_t doubled =
      convkit::transposed_output_size(16, {.kernel_size = 4, .stride = 2, .padding = 1});
  fmt::print("       = (16 - 1) * 2 - 2 * 1 + 1 * (4 - 1) + 0 + 1 = {}\n\n", doubled);

  fmt::print("scale  kernel_size  stride  padding  16 pixels become\n");
  for (const int64_t scale : {2, 3, 4}) {
    convkit::Upsampler upsampler(convkit::UpsamplerOptions(1, 1).scale_factor(scale));
    const auto& options = upsampler->conv_transpose->options;
    fmt::print("{:5}  {:11}  {:6}  {:7}  {:16}\n", scale, options.kernel_size()->at(0),
               options.stride()->at(0), std::get<0>(options.padding())->at(0),
               upsampler(torch::randn({1, 1, 16, 16})).size(2));
  }
}

}  // namespace q6

int q6_transposed(int argc, char** argv) {
  return qa::answer(argc, argv, "6. What is transposed convolution?", q6::print_answer);
}

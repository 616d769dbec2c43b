// A separable convolution against a standard one, and where the Q&A's numbers come from.
#include "qa.h"

#include <convkit/conv.h>
#include <convkit/separable.h>

#include <c10/util/StringUtil.h>
#include <fmt/format.h>

namespace q8 {

int64_t standard(bool bias) {
  return convkit::parameter_count(
      *torch::nn::Conv2d(torch::nn::Conv2dOptions(64, 128, 3).padding(1).bias(bias)));
}

int64_t separable(bool depthwise_bias, bool pointwise_bias) {
  return convkit::parameter_count(*convkit::SeparableConv2d(convkit::SeparableConv2dOptions(64, 128)
                                                                .depthwise_bias(depthwise_bias)
                                                                .pointwise_bias(pointwise_bias)));
}

double percent_below(int64_t standard, int64_t separable) {
  return 100.0 * (1.0 - static_cast<double>(separable) / static_cast<double>(standard));
}

void print_answer() {
  torch::nn::Conv2d conv = convkit::standard_conv2d(64, 128);
  convkit::SeparableConv2d separable_conv(64, 128);
  const torch::Tensor x = torch::randn({1, 64, 32, 32});
  fmt::print(
      "Depthwise, then pointwise: each channel is filtered on its own, then 1x1 mixes them.\n"
      "64 to 128 channels, 3x3, on {}\n\n"
      "           output             parameters\n"
      "standard   {}  {:>10}\n"
      "separable  {}  {:>10}   {:.1f}% fewer\n\n",
      c10::str(x.sizes()), c10::str(conv(x).sizes()), qa::with_commas(standard(true)),
      c10::str(separable_conv(x).sizes()), qa::with_commas(separable(true, true)),
      percent_below(standard(true), separable(true, true)));

  fmt::print(
      "The Q&A's comments say 73,728 and 8,832, which are other bias settings than its code has:\n"
      "  standard, bias                   {0:>7}\n"
      "  standard, no bias                {1:>7}   the comment's\n"
      "  separable, both biases           {2:>7}\n"
      "  separable, depthwise bias only   {3:>7}   the comment's; {6:.1f}% below {1}\n"
      "  separable, pointwise bias only   {4:>7}\n"
      "  separable, no bias               {5:>7}\n"
      "None of them gives the comment's 89%.\n",
      qa::with_commas(standard(true)), qa::with_commas(standard(false)),
      qa::with_commas(separable(true, true)), qa::with_commas(separable(true, false)),
      qa::with_commas(separable(false, true)), qa::with_commas(separable(false, false)),
      percent_below(standard(false), separable(true, false)));
}

}  // namespace q8

int q8_separable(int argc, char** argv) {
  return qa::answer(argc, argv, "8. How to implement separable convolution?", q8::print_answer);
}

// VALID and SAME over sizes, kernels and strides, each checked by a real convolution.
#include "qa.h"

#include <convkit/arithmetic.h>
#include <convkit/conv.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <string>

namespace q4 {

int64_t forward_size(int64_t input, const convkit::ConvAxis& axis, convkit::SamePadding padding) {
  const at::Tensor x =
      at::constant_pad_nd(at::ones({1, 1, input}), {padding.before, padding.after});
  return at::conv1d(x, at::ones({1, 1, axis.kernel_size}), {}, axis.stride).size(2);
}

/// input / stride as the Q&A writes it, and marked where it is no whole number.
std::string quotient(int64_t input, int64_t stride) {
  const double value = static_cast<double>(input) / static_cast<double>(stride);
  return input % stride == 0 ? fmt::format("{}", input / stride) : fmt::format("{:.2f}", value);
}

void print_table() {
  fmt::print(
      "input kernel stride | VALID (I-K)/S + 1  output | SAME I/S  output  zeros before, after\n");
  bool agree = true;
  for (const int64_t input : {32, 7, 8}) {
    for (const int64_t kernel_size : {3, 5}) {
      for (const int64_t stride : {1, 2, 3}) {
        const convkit::ConvAxis axis{.kernel_size = kernel_size, .stride = stride};
        const int64_t valid = convkit::valid_output_size(input, axis);
        const int64_t same = convkit::same_output_size(input, stride);
        const convkit::SamePadding zeros = convkit::same_padding(input, axis);
        const int64_t steps = input - kernel_size;
        const std::string rule = steps % stride == 0
                                     ? fmt::format("{}", steps / stride + 1)
                                     : fmt::format("{:.2f}", 1 + static_cast<double>(steps) /
                                                                     static_cast<double>(stride));
        fmt::print("{:5} {:6} {:6} | {:>17} {:7} | {:>8} {:7} {:7}, {}\n", input, kernel_size,
                   stride, rule, valid, quotient(input, stride), same, zeros.before, zeros.after);
        agree = agree && forward_size(input, axis, {0, 0}) == valid &&
                forward_size(input, axis, zeros) == same;
      }
    }
  }
  fmt::print("Real convolutions give these output sizes: {}\n\n", agree ? "yes" : "NO");
}

void print_answer() {
  fmt::print(
      "Padding adds zeros around the image: it preserves the spatial size, lets the kernel\n"
      "process the edges, and controls the output size.\n"
      "  VALID, no padding:  (Input - Kernel) / Stride + 1\n"
      "  SAME:               Input / Stride\n\n");
  print_table();
  fmt::print(
      "What the formulas leave out: VALID rounds down, so the last pixels may be skipped; SAME\n"
      "rounds up, ceil(Input / Stride), and an odd zero goes after the image.\n"
      "PyTorch's own padding='same' refuses a stride above 1. From torch::kSame with stride 2:\n");
  try {
    torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 3).stride(2).padding(torch::kSame));
    fmt::print("  no error\n");
  } catch (const c10::Error& error) {
    fmt::print("  {}\n", error.what_without_backtrace());
  }
}

}  // namespace q4

int q4_padding(int argc, char** argv) {
  return qa::answer(argc, argv, "4. What is padding and why use it?", q4::print_answer);
}

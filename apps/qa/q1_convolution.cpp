// A convolution's outputs are dot products: computed one by one, then by torch::conv2d.
#include "qa.h"

#include <convkit/arithmetic.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <string>

namespace q1 {

constexpr int64_t kImage = 4;
constexpr int64_t kKernel = 3;
constexpr int64_t kOutput = convkit::conv_output_size(kImage, {.kernel_size = kKernel});
static_assert(kOutput == 2);

constexpr int image[kImage][kImage] = {{1, 2, 0, 1}, {0, 1, 3, 2}, {2, 1, 0, 1}, {1, 0, 2, 3}};
constexpr int kernel[kKernel][kKernel] = {{1, 0, -1}, {2, 0, -2}, {1, 1, 0}};

/// The dot product between the kernel and the region of the image at (row, column).
int dot(int64_t row, int64_t column, bool flipped, std::string& terms) {
  int sum = 0;
  for (int64_t i = 0; i < kKernel; ++i) {
    for (int64_t j = 0; j < kKernel; ++j) {
      const int pixel = image[row + i][column + j];
      const int weight = flipped ? kernel[kKernel - 1 - i][kKernel - 1 - j] : kernel[i][j];
      sum += pixel * weight;
      if (weight != 0) terms += fmt::format("{}{}*{}", terms.empty() ? "" : " + ", pixel, weight);
    }
  }
  return sum;
}

void print_answer() {
  fmt::print(
      "A filter is applied to the image: each output is the dot product between the kernel and\n"
      "one local region of the image.\n\n"
      "image {0} x {0}          kernel {1} x {1}\n",
      kImage, kKernel);
  for (int64_t i = 0; i < kImage; ++i) {
    for (const int pixel : image[i]) fmt::print("{:3}", pixel);
    for (int64_t j = 0; j < kKernel && i < kKernel; ++j) {
      fmt::print("{:{}}", kernel[i][j], j == 0 ? 15 : 3);
    }
    fmt::print("\n");
  }

  const at::Tensor x = at::empty({1, 1, kImage, kImage});
  const at::Tensor weight = at::empty({1, 1, kKernel, kKernel});
  for (int64_t i = 0; i < kImage * kImage; ++i) {
    x.data_ptr<float>()[i] = static_cast<float>(image[i / kImage][i % kImage]);
  }
  for (int64_t i = 0; i < kKernel * kKernel; ++i) {
    weight.data_ptr<float>()[i] = static_cast<float>(kernel[i / kKernel][i % kKernel]);
  }
  const at::Tensor y = at::conv2d(x, weight);

  fmt::print("\noutput {0} x {0}, since {1} - {2} + 1 = {0}; terms with weight 0 left out\n",
             kOutput, kImage, kKernel);
  bool equal = true;
  std::string flipped_outputs;
  for (int64_t row = 0; row < kOutput; ++row) {
    for (int64_t column = 0; column < kOutput; ++column) {
      std::string terms;
      std::string flipped_terms;
      const int sum = dot(row, column, false, terms);
      const float computed = y[0][0][row][column].item<float>();
      fmt::print("  [{}, {}] = {} = {}\n", row, column, terms, sum);
      equal = equal && computed == static_cast<float>(sum);
      flipped_outputs += fmt::format(" {}", dot(row, column, true, flipped_terms));
    }
  }
  fmt::print("torch::conv2d computes the same four numbers: {}\n\n", equal ? "yes" : "NO");
  fmt::print(
      "This is cross-correlation: the kernel is not flipped. The convolution of signal\n"
      "processing flips it first, and would give{}.\n",
      flipped_outputs);
}

}  // namespace q1

int q1_convolution(int argc, char** argv) {
  return qa::answer(argc, argv, "1. How does 2D convolution work?", q1::print_answer);
}

#include <convkit/arithmetic.h>

#include <ATen/ATen.h>
#include <torch/autograd.h>
#include <torch/nn/modules/conv.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_exception.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace {

using namespace convkit;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

/// Whether `F` is a constant expression: a function that throws is none.
template <typename F, auto = F{}()>
constexpr bool compiles(F) {
  return true;
}
constexpr bool compiles(...) {
  return false;
}

static_assert(compiles([] { return conv_output_size(32, {.kernel_size = 3}); }));
static_assert(!compiles([] { return conv_output_size(2, {.kernel_size = 3}); }));
static_assert(!compiles([] { return conv_output_size(0, {.kernel_size = 1, .padding = 1}); }));
static_assert(!compiles([] { return conv_output_size(32, {.kernel_size = 0}); }));
static_assert(!compiles([] { return conv_output_size(32, {.kernel_size = 3, .stride = 0}); }));
static_assert(!compiles([] { return conv_output_size(32, {.kernel_size = 3, .padding = -1}); }));
static_assert(!compiles([] { return conv_output_size(32, {.kernel_size = 3, .dilation = 0}); }));
static_assert(!compiles([] {
  return conv_output_size(kMax, {.kernel_size = 3, .padding = 1});  // overflows
}));
static_assert(!compiles([] {
  return conv_output_size(32, {.kernel_size = 5, .dilation = kMax / 2});  // overflows
}));
static_assert(!compiles([] { return valid_output_size(32, {.kernel_size = 3, .padding = 1}); }));
static_assert(!compiles([] { return valid_output_size(2, {.kernel_size = 3}); }));
static_assert(!compiles([] { return same_output_size(32, 0); }));
static_assert(compiles([] { return same_padding(1, {.kernel_size = 3}).after; }));
static_assert(!compiles([] { return same_padding(0, {.kernel_size = 3}).after; }));
static_assert(compiles([] { return transposed_output_size(16, {.kernel_size = 4, .stride = 2}); }));
static_assert(!compiles([] {
  return transposed_output_size(1, {.kernel_size = 2, .padding = 1});
}));
static_assert(!compiles([] {
  return transposed_output_size(16, {.kernel_size = 4, .stride = 2, .output_padding = 2});
}));
static_assert(!compiles([] {
  return transposed_output_size(kMax, {.kernel_size = 2, .stride = 2});
}));
static_assert(!compiles([] {
  return conv2d_parameters({.in_channels = 3, .out_channels = 64, .kernel_size = 3, .groups = 2});
}));
static_assert(!compiles([] {
  return conv2d_parameters({.in_channels = 3, .out_channels = 64, .kernel_size = 3, .stride = 0});
}));
static_assert(!compiles([] {
  return conv2d_parameters({.in_channels = kMax, .out_channels = 2, .kernel_size = 1});
}));
static_assert(!compiles([] {
  return conv2d_macs({.in_channels = 3, .out_channels = 64, .kernel_size = 3}, 2);
}));
static_assert(!compiles([] {
  return ReceptiveField{}.then({.kernel_size = 3, .stride = 0}).size;
}));

static_assert(!compiles([] {
  return ReceptiveField{.size = 1, .jump = 0, .start = 0}.then({.kernel_size = 3}).size;
}));

// The Q&A's numbers.
static_assert(conv_output_size(32, {.kernel_size = 3, .padding = 1}) == 32);
static_assert(conv_output_size(32, {.kernel_size = 3, .stride = 2, .padding = 1}) == 16);
static_assert(conv_output_size(32, {.kernel_size = 3, .padding = 2, .dilation = 2}) == 32);
static_assert(transposed_output_size(16, {.kernel_size = 4, .stride = 2, .padding = 1}) == 32);
static_assert(conv2d_parameters({.in_channels = 3, .out_channels = 64, .kernel_size = 3}) == 1792);
static_assert(conv_transpose2d_parameters(
                  {.in_channels = 64, .out_channels = 32, .kernel_size = 4}) == 32800);
static_assert(conv2d_macs({.in_channels = 3, .out_channels = 64, .kernel_size = 3, .padding = 1},
                          32) == 1769472);
static_assert(
    conv_transpose2d_macs(
        {.in_channels = 64, .out_channels = 32, .kernel_size = 4, .stride = 2, .padding = 1}, 16) ==
    8388608);

/// The length of a real forward's output, or -1 where torch refuses it.
int64_t real_size(const at::Tensor& x, const ConvAxis& axis) {
  const at::Tensor weight = at::ones({1, 1, axis.kernel_size});
  try {
    return at::conv1d(x, weight, {}, axis.stride, axis.padding, axis.dilation).size(2);
  } catch (const c10::Error&) {
    return -1;
  }
}

template <typename F>
int64_t size_or_refused(F f) {
  try {
    return f();
  } catch (const std::invalid_argument&) {
    return -1;
  }
}

}  // namespace

TEST_CASE("conv_output_size is the size of a real forward, and refuses what torch refuses",
          "[arithmetic][shape]") {
  int combinations = 0;
  int refused = 0;
  for (int64_t input = 1; input <= 16; ++input) {
    const at::Tensor x = at::ones({1, 1, input});
    for (int64_t kernel_size = 1; kernel_size <= 5; ++kernel_size) {
      for (int64_t stride = 1; stride <= 4; ++stride) {
        for (int64_t padding = 0; padding <= 4; ++padding) {
          for (int64_t dilation = 1; dilation <= 4; ++dilation) {
            const ConvAxis axis{kernel_size, stride, padding, dilation};
            const int64_t size = size_or_refused([&] { return conv_output_size(input, axis); });
            if (size != real_size(x, axis)) {
              FAIL("input " << input << " kernel_size " << kernel_size << " stride " << stride
                            << " padding " << padding << " dilation " << dilation);
            }
            if (padding == 0) {
              REQUIRE(size_or_refused([&] { return valid_output_size(input, axis); }) == size);
            }
            ++combinations;
            refused += size == -1 ? 1 : 0;
          }
        }
      }
    }
  }
  CHECK(combinations == 6400);
  CHECK(refused > 100);
  CHECK(refused < combinations / 2);
}

TEST_CASE("same_padding makes a real forward's output ceil(input / stride) long",
          "[arithmetic][shape]") {
  int combinations = 0;
  for (int64_t input = 1; input <= 16; ++input) {
    for (int64_t kernel_size = 1; kernel_size <= 6; ++kernel_size) {
      for (int64_t stride = 1; stride <= 5; ++stride) {
        for (int64_t dilation = 1; dilation <= 3; ++dilation) {
          const ConvAxis axis{.kernel_size = kernel_size, .stride = stride, .dilation = dilation};
          const SamePadding zeros = same_padding(input, axis);
          const at::Tensor x =
              at::constant_pad_nd(at::ones({1, 1, input}), {zeros.before, zeros.after});
          REQUIRE(real_size(x, axis) == same_output_size(input, stride));
          REQUIRE(same_output_size(input, stride) == (input + stride - 1) / stride);
          REQUIRE((zeros.after == zeros.before || zeros.after == zeros.before + 1));
          ++combinations;
        }
      }
    }
  }
  CHECK(combinations == 1440);
  CHECK(same_padding(kMax, {.kernel_size = 3}) == SamePadding{1, 1});
}

TEST_CASE("transposed_output_size is the size of a real forward, and refuses what torch refuses",
          "[arithmetic][shape]") {
  int combinations = 0;
  int refused = 0;
  for (int64_t input = 1; input <= 6; ++input) {
    const at::Tensor x = at::ones({1, 1, input});
    for (int64_t kernel_size = 1; kernel_size <= 5; ++kernel_size) {
      const at::Tensor weight = at::ones({1, 1, kernel_size});
      for (int64_t stride = 1; stride <= 4; ++stride) {
        for (int64_t padding = 0; padding <= 3; ++padding) {
          for (int64_t output_padding = 0; output_padding <= 3; ++output_padding) {
            for (int64_t dilation = 1; dilation <= 3; ++dilation) {
              const ConvTransposeAxis axis{kernel_size, stride, padding, output_padding, dilation};
              const int64_t size =
                  size_or_refused([&] { return transposed_output_size(input, axis); });
              int64_t real = -1;
              try {
                real = at::conv_transpose1d(x, weight, {}, stride, padding, output_padding, 1,
                                            dilation)
                           .size(2);
              } catch (const c10::Error&) {
              }
              if (size != real) {
                FAIL("input " << input << " kernel_size " << kernel_size << " stride " << stride
                              << " padding " << padding << " output_padding " << output_padding
                              << " dilation " << dilation << ": " << size << ", really " << real);
              }
              ++combinations;
              refused += size == -1 ? 1 : 0;
            }
          }
        }
      }
    }
  }
  CHECK(combinations == 5760);
  CHECK(refused > 100);
  CHECK(refused < combinations / 2);
}

TEST_CASE("parameters and multiplications are those of the real layers", "[arithmetic]") {
  for (const int64_t groups : {1, 2, 6}) {
    for (const bool bias : {true, false}) {
      for (const Size2d kernel_size : {Size2d(1), Size2d(3, 5), Size2d(4)}) {
        const Conv2dShape shape{.in_channels = 6,
                                .out_channels = 12,
                                .kernel_size = kernel_size,
                                .stride = {2, 1},
                                .padding = {1, 2},
                                .dilation = {1, 2},
                                .groups = groups,
                                .bias = bias};
        const torch::nn::Conv2d conv(
            torch::nn::Conv2dOptions(6, 12, {kernel_size.height, kernel_size.width})
                .groups(groups)
                .bias(bias));
        const int64_t weights = conv->weight.numel();
        CHECK(conv2d_parameters(shape) == weights + (bias ? conv->bias.numel() : 0));
        const at::Tensor y = at::conv2d(at::ones({1, 6, 11, 13}), conv->weight, conv->bias, {2, 1},
                                        {1, 2}, {1, 2}, groups);
        // Every output is a dot product with one filter.
        CHECK(conv2d_macs(shape, {11, 13}) == y.numel() * conv->weight[0].numel());

        const ConvTranspose2dShape transposed{.in_channels = 6,
                                              .out_channels = 12,
                                              .kernel_size = kernel_size,
                                              .stride = {2, 1},
                                              .groups = groups,
                                              .bias = bias};
        const torch::nn::ConvTranspose2d up(
            torch::nn::ConvTranspose2dOptions(6, 12, {kernel_size.height, kernel_size.width})
                .groups(groups)
                .bias(bias));
        CHECK(conv_transpose2d_parameters(transposed) ==
              up->weight.numel() + (bias ? up->bias.numel() : 0));
        // Every input is multiplied with one row of the weight.
        CHECK(conv_transpose2d_macs(transposed, {5, 7}) ==
              at::ones({6, 5, 7}).numel() * up->weight[0].numel());
      }
    }
  }
}

TEST_CASE("a ReceptiveField tells which inputs have a gradient", "[arithmetic]") {
  struct Chain {
    std::vector<ConvAxis> layers;
    int64_t input;
  };
  const std::vector<Chain> chains = {
      {{{.kernel_size = 3}}, 12},
      {{{.kernel_size = 3, .padding = 1}, {.kernel_size = 3, .padding = 1}}, 12},
      {{{.kernel_size = 7, .stride = 2, .padding = 3},
        {.kernel_size = 3, .stride = 2, .padding = 1},
        {.kernel_size = 3, .padding = 1}},
       64},
      {{{.kernel_size = 2, .stride = 2}, {.kernel_size = 2, .stride = 2}}, 16},
      {{{.kernel_size = 3, .padding = 2, .dilation = 2}, {.kernel_size = 5, .stride = 3}}, 40},
  };
  for (const Chain& chain : chains) {
    ReceptiveField field;
    at::Tensor x = at::ones({1, 1, chain.input}).requires_grad_();
    at::Tensor y = x;
    for (const ConvAxis& layer : chain.layers) {
      field = field.then(layer);
      y = at::conv1d(y, at::ones({1, 1, layer.kernel_size}), {}, layer.stride, layer.padding,
                     layer.dilation);
    }
    for (int64_t i = 0; i < y.size(2); ++i) {
      const at::Tensor gradient =
          torch::autograd::grad({y[0][0][i]}, {x}, {}, /*retain_graph=*/true)[0].flatten();
      const at::Tensor seen = gradient.nonzero();
      const int64_t first = field.start + i * field.jump;
      const int64_t last = first + field.size - 1;
      INFO("output " << i << " of " << chain.layers.size() << " layers");
      CHECK(seen.min().item<int64_t>() == std::max<int64_t>(first, 0));
      CHECK(seen.max().item<int64_t>() == std::min(last, chain.input - 1));
    }
  }
}

TEST_CASE("arithmetic errors name the function, the option, the expectation and the value",
          "[arithmetic][errors]") {
  using Catch::Matchers::Message;
  CHECK_THROWS_MATCHES(conv_output_size(32, {.kernel_size = 3, .stride = 0}), std::invalid_argument,
                       Message("conv_output_size: expected stride >= 1, got 0"));
  CHECK_THROWS_MATCHES(
      conv_output_size(2, {.kernel_size = 3, .dilation = 2}), std::invalid_argument,
      Message("conv_output_size: expected a padded input >= the kernel's 5, got 2"));
  CHECK_THROWS_MATCHES(
      same_padding(8, {.kernel_size = 3, .padding = 1}), std::invalid_argument,
      Message("same_padding: expected padding 0, as the rule itself sets it, got 1"));
  CHECK_THROWS_MATCHES(
      conv2d_parameters({.in_channels = 3, .out_channels = 64, .kernel_size = 3, .groups = 2}),
      std::invalid_argument,
      Message("conv2d_parameters: expected in_channels divisible by groups 2, got 3"));
  CHECK_THROWS_MATCHES(conv2d_macs({.in_channels = kMax, .out_channels = 2, .kernel_size = 1}, 1),
                       std::overflow_error,
                       Message("conv2d_macs: the result does not fit into int64"));
}

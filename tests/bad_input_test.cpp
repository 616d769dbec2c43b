// What users do wrong, one line each: the result, or the exact error.
#include <convkit/convkit.h>

#include "support.h"

#include <ATen/autocast_mode.h>

#include <functional>
#include <limits>

namespace {

using namespace convkit;
using torch::ones;

constexpr int64_t kHuge = int64_t{1} << 62;
constexpr int64_t kAbove = int64_t{1} << 31;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// What happened: the shape of the result, or the error.
struct Row {
  const char* name;
  std::function<torch::Tensor()> run;
  std::string expected;
};

using Rows = std::vector<Row>;

torch::Tensor image() {
  return ones({1, 3, 8, 8});
}

/// Constructs from options, without an input.
template <typename Holder, typename Options>
torch::Tensor make(const Options& options) {
  const Holder module(options);
  return {};
}

ConvBlockOptions block() {
  return {3, 8};
}
SeparableConv2dOptions separable() {
  return {3, 8};
}
UpsamplerOptions upsampler() {
  return {3, 8};
}
Conv2dSameOptions same() {
  return {3, 8, 3};
}

void check(const Rows& rows) {
  for (const Row& row : rows) {
    INFO(row.name);
    torch::Tensor result;
    const std::string error = support::error([&] { result = row.run(); });
    CHECK((error == "no error" ? c10::str(result.sizes()) : error) == row.expected);
  }
}

}  // namespace

TEST_CASE("bad options are refused by name, expectation and value", "[errors]") {
  check({
      {"block in 0", [] { return make<ConvBlock>(ConvBlockOptions(0, 8)); },
       "ConvBlock: expected in_channels >= 1, got 0"},
      {"block in -4", [] { return make<ConvBlock>(ConvBlockOptions(-4, 8)); },
       "ConvBlock: expected in_channels >= 1, got -4"},
      {"block in 2^31", [] { return make<ConvBlock>(ConvBlockOptions(kAbove, 8)); },
       "ConvBlock: expected in_channels <= 2147483647, got 2147483648"},
      {"block out 0", [] { return make<ConvBlock>(ConvBlockOptions(3, 0)); },
       "ConvBlock: expected out_channels >= 1, got 0"},
      {"block out 2^62", [] { return make<ConvBlock>(ConvBlockOptions(3, kHuge)); },
       "ConvBlock: expected out_channels <= 2147483647, got 4611686018427387904"},
      {"block kernel 0", [] { return make<ConvBlock>(block().kernel_size(0)); },
       "ConvBlock: expected kernel_size >= 1, got 0"},
      {"block kernel -1", [] { return make<ConvBlock>(block().kernel_size({3, -1})); },
       "ConvBlock: expected kernel_size >= 1, got -1"},
      {"block kernel 2^31", [] { return make<ConvBlock>(block().kernel_size(kAbove)); },
       "ConvBlock: expected kernel_size <= 2147483647, got 2147483648"},
      {"block stride 0", [] { return make<ConvBlock>(block().stride(0)); },
       "ConvBlock: expected stride >= 1, got 0"},
      {"block stride -1", [] { return make<ConvBlock>(block().stride({-1, 1})); },
       "ConvBlock: expected stride >= 1, got -1"},
      {"block stride 2^62", [] { return make<ConvBlock>(block().stride(kHuge)); },
       "ConvBlock: expected stride <= 2147483647, got 4611686018427387904"},
      {"block padding -1", [] { return make<ConvBlock>(block().padding(-1)); },
       "ConvBlock: expected padding >= 0, got -1"},
      {"block padding 2^40", [] { return make<ConvBlock>(block().padding(int64_t{1} << 40)); },
       "ConvBlock: expected padding <= 2147483647, got 1099511627776"},
      {"block same, stride 2",
       [] { return make<ConvBlock>(block().padding(torch::kSame).stride(2)); },
       "ConvBlock: expected stride 1 with padding torch::kSame, got 2"},

      {"separable in 0", [] { return make<SeparableConv2d>(SeparableConv2dOptions(0, 8)); },
       "SeparableConv2d: expected in_channels >= 1, got 0"},
      {"separable in -1", [] { return make<SeparableConv2d>(SeparableConv2dOptions(-1, 8)); },
       "SeparableConv2d: expected in_channels >= 1, got -1"},
      {"separable out 0", [] { return make<SeparableConv2d>(SeparableConv2dOptions(3, 0)); },
       "SeparableConv2d: expected out_channels >= 1, got 0"},
      {"separable kernel 0", [] { return make<SeparableConv2d>(separable().kernel_size(0)); },
       "SeparableConv2d: expected kernel_size >= 1, got 0"},
      {"separable stride 0", [] { return make<SeparableConv2d>(separable().stride(0)); },
       "SeparableConv2d: expected stride >= 1, got 0"},
      {"separable stride 2^62", [] { return make<SeparableConv2d>(separable().stride(kHuge)); },
       "SeparableConv2d: expected stride <= 2147483647, got 4611686018427387904"},
      {"separable padding -1", [] { return make<SeparableConv2d>(separable().padding({0, -1})); },
       "SeparableConv2d: expected padding >= 0, got -1"},
      {"separable dilation 0", [] { return make<SeparableConv2d>(separable().dilation(0)); },
       "SeparableConv2d: expected dilation >= 1, got 0"},
      {"separable dilation 2^62", [] { return make<SeparableConv2d>(separable().dilation(kHuge)); },
       "SeparableConv2d: expected dilation <= 2147483647, got 4611686018427387904"},
      {"separable multiplier 0",
       [] { return make<SeparableConv2d>(separable().depth_multiplier(0)); },
       "SeparableConv2d: expected depth_multiplier >= 1, got 0"},
      {"separable multiplier 2^31",
       [] { return make<SeparableConv2d>(separable().depth_multiplier(kAbove)); },
       "SeparableConv2d: expected depth_multiplier <= 2147483647, got 2147483648"},
      {"separable product",
       [] { return make<SeparableConv2d>(separable().depth_multiplier(1 << 30)); },
       "SeparableConv2d: expected in_channels * depth_multiplier <= 2147483647, got 3221225472"},

      {"upsampler in 0", [] { return make<Upsampler>(UpsamplerOptions(0, 8)); },
       "Upsampler: expected in_channels >= 1, got 0"},
      {"upsampler out -3", [] { return make<Upsampler>(UpsamplerOptions(3, -3)); },
       "Upsampler: expected out_channels >= 1, got -3"},
      {"upsampler scale 0", [] { return make<Upsampler>(upsampler().scale_factor(0)); },
       "Upsampler: expected scale_factor >= 1, got 0"},
      {"upsampler scale -2",
       [] { return make<Upsampler>(upsampler().scale_factor(-2).mode(UpsampleMode::kBilinear)); },
       "Upsampler: expected scale_factor >= 1, got -2"},
      {"upsampler scale 2^62", [] { return make<Upsampler>(upsampler().scale_factor(kHuge)); },
       "Upsampler: expected scale_factor <= 2147483647, got 4611686018427387904"},
      {"upsampler scale^2",
       [] {
         return make<Upsampler>(upsampler().scale_factor(50000).mode(UpsampleMode::kPixelShuffle));
       },
       "Upsampler: expected scale_factor^2 <= 2147483647, got 2500000000"},
      {"upsampler mode",
       [] { return make<Upsampler>(upsampler().mode(static_cast<UpsampleMode>(-1))); },
       "Upsampler: expected a mode of UpsampleMode, got -1"},

      {"same in 0", [] { return make<Conv2dSame>(Conv2dSameOptions(0, 8, 3)); },
       "Conv2dSame: expected in_channels >= 1, got 0"},
      {"same out 0", [] { return make<Conv2dSame>(Conv2dSameOptions(3, 0, 3)); },
       "Conv2dSame: expected out_channels >= 1, got 0"},
      {"same kernel 0", [] { return make<Conv2dSame>(Conv2dSameOptions(3, 8, 0)); },
       "Conv2dSame: expected kernel_size >= 1, got 0"},
      {"same stride 0", [] { return make<Conv2dSame>(same().stride({1, 0})); },
       "Conv2dSame: expected stride >= 1, got 0"},
      {"same dilation 0", [] { return make<Conv2dSame>(same().dilation(0)); },
       "Conv2dSame: expected dilation >= 1, got 0"},
      {"same groups 0", [] { return make<Conv2dSame>(same().groups(0)); },
       "Conv2dSame: expected groups >= 1, got 0"},
      {"same groups 2", [] { return make<Conv2dSame>(same().groups(2)); },
       "Conv2dSame: expected in_channels divisible by groups 2, got 3"},
      {"same groups 3", [] { return make<Conv2dSame>(same().groups(3)); },
       "Conv2dSame: expected out_channels divisible by groups 3, got 8"},
      {"same padding 1", [] { return make<Conv2dSame>(same().padding(1)); },
       "Conv2dSame: expected no padding, which SAME itself computes, got [1, 1]"},
      {"same padding kSame", [] { return make<Conv2dSame>(same().padding(torch::kSame)); },
       "Conv2dSame: expected no padding, which SAME itself computes, got torch::kSame or "
       "torch::kValid"},
      {"max pool kernel 0", [] { return make<MaxPool2dSame>(MaxPool2dSameOptions(0)); },
       "MaxPool2dSame: expected kernel_size >= 1, got 0"},
      {"max pool stride 0", [] { return make<MaxPool2dSame>(MaxPool2dSameOptions(2).stride(0)); },
       "MaxPool2dSame: expected stride >= 1, got 0"},
      {"max pool dilation -1",
       [] { return make<MaxPool2dSame>(MaxPool2dSameOptions(2).dilation(-1)); },
       "MaxPool2dSame: expected dilation >= 1, got -1"},
      {"average pool kernel 2^31", [] { return make<AvgPool2dSame>(AvgPool2dSameOptions(kAbove)); },
       "AvgPool2dSame: expected kernel_size <= 2147483647, got 2147483648"},
      {"average pool stride -1",
       [] { return make<AvgPool2dSame>(AvgPool2dSameOptions(2).stride({1, -1})); },
       "AvgPool2dSame: expected stride >= 1, got -1"},
      {"blur channels 0", [] { return make<BlurPool2d>(BlurPool2dOptions().channels(0)); },
       "BlurPool2d: expected channels >= 1, got 0"},
      {"blur filter 1", [] { return make<BlurPool2d>(BlurPool2dOptions().filt_size(1)); },
       "BlurPool2d: expected 2 <= filt_size <= 64, got 1"},
      {"blur filter 65", [] { return make<BlurPool2d>(BlurPool2dOptions().filt_size(65)); },
       "BlurPool2d: expected 2 <= filt_size <= 64, got 65"},
      {"blur stride 0", [] { return make<BlurPool2d>(BlurPool2dOptions().stride(0)); },
       "BlurPool2d: expected stride >= 1, got 0"},

      {"standard 0", [] { return standard_conv2d(0, 8)->weight; },
       "standard_conv2d: expected in_channels >= 1, got 0"},
      {"strided 2^62", [] { return strided_conv2d(3, 8, kHuge)->weight; },
       "strided_conv2d: expected stride <= 2147483647, got 4611686018427387904"},
      {"dilated 0", [] { return dilated_conv2d(3, 8, 0)->weight; },
       "dilated_conv2d: expected dilation >= 1, got 0"},
      {"depthwise -1", [] { return depthwise_conv2d(-1)->weight; },
       "depthwise_conv2d: expected in_channels >= 1, got -1"},
      {"pointwise 0", [] { return pointwise_conv2d(3, 0)->weight; },
       "pointwise_conv2d: expected out_channels >= 1, got 0"},
  });
}

TEST_CASE("bad inputs are refused by what was expected and what came", "[errors]") {
  const torch::Tensor undefined;
  ConvBlock conv_block(3, 8);
  SeparableConv2d separable_conv(3, 8);
  Upsampler transposed(3, 8);
  Upsampler bilinear(upsampler().mode(UpsampleMode::kBilinear));
  Upsampler shuffle(upsampler().mode(UpsampleMode::kPixelShuffle));
  Conv2dSame conv_same(3, 8, 3);
  Conv2dSame reflecting(Conv2dSameOptions(3, 8, 9).padding_mode(torch::kReflect));
  MaxPool2dSame max_pool(2);
  AvgPool2dSame avg_pool(2);
  BlurPool2d blur(BlurPool2dOptions().channels(3));
  BlurPool2d blur_any;
  Sequential chain{ConvBlock(3, 8), SeparableConv2d(4, 8)};
  ConvBlock empty{nullptr};
  const torch::Tensor nan = torch::full({2, 3, 8, 8}, std::numeric_limits<float>::quiet_NaN());

  check({
      {"block channels", [&] { return conv_block(ones({1, 4, 8, 8})); },
       "ConvBlock: expected input [N, 3, H, W], got [1, 4, 8, 8]"},
      {"block unbatched", [&] { return conv_block(ones({3, 8, 8})); },
       "ConvBlock: expected input [N, 3, H, W], got [3, 8, 8]"},
      {"block 5-D", [&] { return conv_block(ones({1, 1, 3, 8, 8})); },
       "ConvBlock: expected input [N, 3, H, W], got [1, 1, 3, 8, 8]"},
      {"block scalar", [&] { return conv_block(ones({})); },
       "ConvBlock: expected input [N, 3, H, W], got []"},
      {"block undefined", [&] { return conv_block(undefined); },
       "ConvBlock: expected input [N, 3, H, W], got an undefined tensor"},
      {"block uint8", [&] { return conv_block(image().to(torch::kByte)); },
       "ConvBlock: expected input of type Float, as its weights, got Byte; convert it with "
       "x.to(torch::kFloat)"},
      {"block int64", [&] { return conv_block(image().to(torch::kLong)); },
       "ConvBlock: expected input of type Float, as its weights, got Long; convert it with "
       "x.to(torch::kFloat)"},
      {"block half", [&] { return conv_block(image().to(torch::kHalf)); },
       "ConvBlock: expected input of type Float, as its weights, got Half; convert it with "
       "x.to(torch::kFloat)"},
      {"block double", [&] { return conv_block(image().to(torch::kDouble)); },
       "ConvBlock: expected input of type Float, as its weights, got Double; convert it with "
       "x.to(torch::kFloat)"},
      {"block half weights",
       [&] {
         ConvBlock half(block());
         half->to(torch::kHalf);
         return half(image());
       },
       "ConvBlock: expected input of type Half, as its weights, got Float; convert it with "
       "x.to(torch::kHalf), or the module with to(torch::kFloat)"},
      {"block meta", [&] { return conv_block(image().to(torch::kMeta)); },
       "ConvBlock: expected input on cpu, where its weights are, got meta; move it with "
       "x.to(cpu)"},
      {"block too small", [&] { return ConvBlock(block().padding(0))(ones({1, 3, 2, 2})); },
       "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size "
       "can't be greater than actual input size"},
      {"block one value in training",
       [&] { return ConvBlock(block().padding(0))(ones({1, 3, 3, 3})); },
       "Expected more than 1 value per channel when training, got input size [1, 8, 1, 1]"},
      {"block empty batch", [&] { return conv_block(ones({0, 3, 8, 8})); }, "[0, 8, 8, 8]"},
      {"block NaN", [&] { return conv_block(nan); }, "[2, 8, 8, 8]"},
      {"block null", [&] { return empty(image()); }, "Accessing empty ModuleHolder"},

      {"separable channels", [&] { return separable_conv(ones({1, 4, 8, 8})); },
       "SeparableConv2d: expected input [N, 3, H, W] or [3, H, W], got [1, 4, 8, 8]"},
      {"separable unbatched", [&] { return separable_conv(ones({3, 8, 8})); }, "[8, 8, 8]"},
      {"separable 2-D", [&] { return separable_conv(ones({8, 8})); },
       "SeparableConv2d: expected input [N, 3, H, W] or [3, H, W], got [8, 8]"},
      {"separable undefined", [&] { return separable_conv(undefined); },
       "SeparableConv2d: expected input [N, 3, H, W] or [3, H, W], got an undefined tensor"},
      {"separable half", [&] { return separable_conv(image().to(torch::kHalf)); },
       "SeparableConv2d: expected input of type Float, as its weights, got Half; convert it with "
       "x.to(torch::kFloat)"},
      {"separable empty batch", [&] { return separable_conv(ones({0, 3, 8, 8})); }, "[0, 8, 8, 8]"},

      {"transposed channels", [&] { return transposed(ones({1, 4, 8, 8})); },
       "Upsampler: expected input [N, 3, H, W], got [1, 4, 8, 8]"},
      {"transposed unbatched", [&] { return transposed(ones({3, 8, 8})); },
       "Upsampler: expected input [N, 3, H, W], got [3, 8, 8]"},
      {"transposed double", [&] { return transposed(image().to(torch::kDouble)); },
       "Upsampler: expected input of type Float, as its weights, got Double; convert it with "
       "x.to(torch::kFloat)"},
      {"transposed empty batch", [&] { return transposed(ones({0, 3, 8, 8})); }, "[0, 8, 16, 16]"},
      {"bilinear unbatched", [&] { return bilinear(ones({3, 8, 8})); },
       "Upsampler: expected input [N, 3, H, W], got [3, 8, 8]"},
      {"bilinear uint8", [&] { return bilinear(image().to(torch::kByte)); },
       "Upsampler: expected input of type Float, as its weights, got Byte; convert it with "
       "x.to(torch::kFloat)"},
      {"bilinear empty batch", [&] { return bilinear(ones({0, 3, 8, 8})); }, "[0, 8, 16, 16]"},
      {"shuffle undefined", [&] { return shuffle(undefined); },
       "Upsampler: expected input [N, 3, H, W], got an undefined tensor"},
      {"shuffle empty batch", [&] { return shuffle(ones({0, 3, 8, 8})); }, "[0, 8, 16, 16]"},

      {"same channels", [&] { return conv_same(ones({1, 4, 8, 8})); },
       "Conv2dSame: expected input [N, 3, H, W] or [3, H, W], got [1, 4, 8, 8]"},
      {"same no height", [&] { return conv_same(ones({1, 3, 0, 8})); },
       "Conv2dSame: expected a height and width >= 1, got [1, 3, 0, 8]"},
      {"same half", [&] { return conv_same(image().to(torch::kHalf)); },
       "Conv2dSame: expected input of type Float, as its weights, got Half; convert it with "
       "x.to(torch::kFloat)"},
      {"same empty batch", [&] { return conv_same(ones({0, 3, 8, 8})); }, "[0, 8, 8, 8]"},
      {"same smaller than the kernel", [&] { return Conv2dSame(3, 8, 9)(image()); },
       "[1, 8, 8, 8]"},
      {"max pool 2-D", [&] { return max_pool(ones({8, 8})); },
       "MaxPool2dSame: expected input [N, C, H, W] or [C, H, W], got [8, 8]"},
      {"max pool undefined", [&] { return max_pool(undefined); },
       "MaxPool2dSame: expected input [N, C, H, W] or [C, H, W], got an undefined tensor"},
      {"max pool double", [&] { return max_pool(image().to(torch::kDouble)); }, "[1, 3, 4, 4]"},
      {"average pool 5-D", [&] { return avg_pool(ones({1, 1, 3, 8, 8})); },
       "AvgPool2dSame: expected input [N, C, H, W] or [C, H, W], got [1, 1, 3, 8, 8]"},
      {"average pool no width", [&] { return avg_pool(ones({3, 8, 0})); },
       "AvgPool2dSame: expected a height and width >= 1, got [3, 8, 0]"},
      {"blur channels", [&] { return blur(ones({1, 4, 8, 8})); },
       "BlurPool2d: expected input [N, 3, H, W], got [1, 4, 8, 8]"},
      {"blur any channels", [&] { return blur_any(ones({1, 4, 8, 8})); }, "[1, 4, 4, 4]"},
      {"blur unbatched", [&] { return blur_any(ones({3, 8, 8})); },
       "BlurPool2d: expected input [N, C, H, W], got [3, 8, 8]"},
      {"blur half", [&] { return blur_any(image().to(torch::kHalf)); },
       "BlurPool2d: expected input of type Float, as its weights, got Half; convert it with "
       "x.to(torch::kFloat)"},
      {"chain", [&] { return chain(image()); },
       "SeparableConv2d: expected input [N, 4, H, W] or [4, H, W], got [1, 8, 8, 8]"},

      {"pad_same 1-D", [&] { return pad_same(ones(3), 3, 1); },
       "pad_same: expected input [..., H, W], got [3]"},
      {"pad_same undefined", [&] { return pad_same(undefined, 3, 1); },
       "pad_same: expected input [..., H, W], got an undefined tensor"},
      {"pad_same kernel 0", [&] { return pad_same(image(), {3, 0}, 1); },
       "pad_same: expected kernel_size >= 1, got 0"},
      {"pad_same stride 0", [&] { return pad_same(image(), 3, 0); },
       "pad_same: expected stride >= 1, got 0"},
      {"pad_same dilation 2^62", [&] { return pad_same(image(), 3, 1, kHuge); },
       "pad_same: expected dilation <= 2147483647, got 4611686018427387904"},
      {"filter2d uint8", [&] { return filter2d(image().to(torch::kByte), box_kernel(3)); },
       "filter2d: expected a floating point input, got Byte; convert it with x.to(torch::kFloat)"},
      {"filter2d undefined kernel", [&] { return filter2d(image(), undefined); },
       "filter2d: expected a kernel [height, width], got an undefined tensor"},
      {"filter2d empty kernel", [&] { return filter2d(image(), ones({0, 3})); },
       "filter2d: expected a kernel [height, width], got [0, 3]"},
      {"sobel 33", [&] { return sobel_kernel(Axis::kX, 33); },
       "sobel_kernel: expected kernel_size <= 31, got 33"},
      {"gaussian sigma infinite", [&] { return gaussian_kernel(3, {kInfinity, 1}); },
       "gaussian_kernel: expected a positive, finite sigma, got inf"},
      {"gabor lambda 0", [&] { return gabor_kernel({.kernel_size = 3, .sigma = 1, .lambda = 0}); },
       "gabor_kernel: expected a positive, finite lambda, got 0"},
      {"gabor gamma 0", [&] { return gabor_kernel({.kernel_size = 3, .sigma = 1, .gamma = 0}); },
       "gabor_kernel: expected a positive, finite gamma, got 0"},
      {"icnr_ undefined", [&] { return icnr_(undefined, 2); },
       "icnr_: expected the weight [out_channels, in_channels, kernel_height, kernel_width] of a "
       "Conv2d, got an undefined tensor"},
      {"upsample_like undefined", [&] { return upsample_like(image(), undefined); },
       "upsample_like: expected a reference [..., H, W], got an undefined tensor"},
      {"upsample_like mode",
       [&] { return upsample_like(image(), image(), static_cast<UpsampleMode>(9)); },
       "upsample_like: expected a mode that interpolates, got an unknown mode"},
      {"upsample_like no width", [&] { return upsample_like(ones({1, 3, 8, 0}), image()); },
       "upsample_like: expected a height and width >= 1, got [1, 3, 8, 0]"},
  });

  CHECK_THAT(support::error([&] { reflecting(ones({1, 3, 4, 4})); }),
             Catch::Matchers::ContainsSubstring("Padding size should be less than the "
                                                "corresponding input dimension"));
}

TEST_CASE("with autocast a float module takes other types, as in Python", "[errors]") {
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const torch::Tensor y = ConvBlock(3, 8)(image().to(torch::kBFloat16));
  at::autocast::set_autocast_enabled(at::kCPU, false);
  CHECK(y.scalar_type() == torch::kBFloat16);
}

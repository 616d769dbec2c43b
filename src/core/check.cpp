#include "core/check.h"

#include <ATen/autocast_mode.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

namespace convkit::detail {
namespace {

// Larger values overflow inside the kernels, and no real layer comes near.
constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

void check_range(const char* module, const char* option, int64_t minimum, int64_t value) {
  TORCH_CHECK_VALUE(value >= minimum, module, ": expected ", option, " >= ", minimum, ", got ",
                    value);
  TORCH_CHECK_VALUE(value <= kLargest, module, ": expected ", option, " <= ", kLargest, ", got ",
                    value);
}

template <std::size_t D>
void check_range(const char* module, const char* option, int64_t minimum,
                 const torch::ExpandingArray<D>& values) {
  for (const int64_t value : *values) check_range(module, option, minimum, value);
}

/// Checks what a convolution and a transposed one have in common.
template <typename Options>
void check_common(const char* module, const Options& options) {
  check_positive(module, "in_channels", options.in_channels());
  check_positive(module, "out_channels", options.out_channels());
  check_range(module, "kernel_size", 1, options.kernel_size());
  check_range(module, "stride", 1, options.stride());
  check_range(module, "dilation", 1, options.dilation());
  check_positive(module, "groups", options.groups());
  TORCH_CHECK_VALUE(options.in_channels() % options.groups() == 0, module,
                    ": expected in_channels divisible by groups ", options.groups(), ", got ",
                    options.in_channels());
  TORCH_CHECK_VALUE(options.out_channels() % options.groups() == 0, module,
                    ": expected out_channels divisible by groups ", options.groups(), ", got ",
                    options.out_channels());
}

/// Checks a convolution's options.
template <std::size_t D>
void check_convolution(const char* module, const torch::nn::ConvOptions<D>& options) {
  check_common(module, options);
  if (const auto* padding = std::get_if<torch::ExpandingArray<D>>(&options.padding())) {
    check_range(module, "padding", 0, *padding);
  } else if (std::holds_alternative<torch::enumtype::kSame>(options.padding())) {
    for (const int64_t stride : *options.stride()) {
      TORCH_CHECK_VALUE(stride == 1, module, ": expected stride 1 with padding torch::kSame, got ",
                        stride);
    }
  }
}

}  // namespace

void check_positive(const char* module, const char* option, int64_t value) {
  check_range(module, option, 1, value);
}

void check_positive(const char* module, const char* option,
                    const torch::ExpandingArray<2>& values) {
  check_range(module, option, 1, values);
}

void check_probability(const char* module, const char* option, double value) {
  TORCH_CHECK_VALUE(value >= 0 && value <= 1, module, ": expected 0 <= ", option, " <= 1, got ",
                    value);
}

void check_eps(const char* module, double eps) {
  TORCH_CHECK_VALUE(eps >= 0, module, ": expected eps >= 0, got ", eps);
}

torch::nn::Conv2dOptions checked(const char* module, torch::nn::Conv2dOptions options) {
  check_convolution(module, options);
  return options;
}

torch::nn::Conv3dOptions checked(const char* module, torch::nn::Conv3dOptions options) {
  check_convolution(module, options);
  return options;
}

torch::nn::ConvTranspose2dOptions checked(const char* module,
                                          torch::nn::ConvTranspose2dOptions options) {
  check_common(module, options);
  check_range(module, "padding", 0, options.padding());
  check_range(module, "output_padding", 0, options.output_padding());
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const int64_t bound = std::max(options.stride()->at(axis), options.dilation()->at(axis));
    TORCH_CHECK_VALUE(options.output_padding()->at(axis) < bound, module,
                      ": expected output_padding < max(stride, dilation) = ", bound, ", got ",
                      options.output_padding()->at(axis));
  }
  return options;
}

namespace {

void check_shape(const char* module, const torch::Tensor& x, std::optional<int64_t> channels,
                 Batch batch) {
  const bool optional = batch == Batch::kOptional;
  if (x.defined() && (x.dim() == 4 || (optional && x.dim() == 3)) &&
      (!channels || x.size(-3) == *channels)) {
    return;
  }
  const std::string image = (channels ? std::to_string(*channels) : "C") + ", H, W]";
  TORCH_CHECK_VALUE(false, module, ": expected input [N, ", image, optional ? " or [" + image : "",
                    ", got ", x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
}

}  // namespace

void check_input(const char* module, const torch::Tensor& x, int64_t channels, Batch batch,
                 const torch::Tensor& weight) {
  check_shape(module, x, channels, batch);
  check_pixels(module, x, {-2, -1}, weight);
}

void check_pixels(const char* module, const torch::Tensor& x, torch::IntArrayRef spatial,
                  const torch::Tensor& weight) {
  TORCH_CHECK_VALUE(x.size(spatial[0]) >= 1 && x.size(spatial[1]) >= 1, module,
                    ": expected a height and width >= 1, got ", x.sizes());
  check_type(module, x, weight);
}

void check_type(const char* module, const torch::Tensor& x, const torch::Tensor& weight) {
  TORCH_CHECK_VALUE(x.device() == weight.device(), module, ": expected input on ", weight.device(),
                    ", where its weights are, got ", x.device(), "; move it with x.to(",
                    weight.device(), ")");
  // Weights of half precision may be what a checkpoint had, and not what is wanted.
  const bool or_the_module =
      weight.scalar_type() != torch::kFloat && x.scalar_type() == torch::kFloat;
  TORCH_CHECK_VALUE(x.scalar_type() == weight.scalar_type() ||
                        at::autocast::is_autocast_enabled(x.device().type()),
                    module, ": expected input of type ", weight.scalar_type(),
                    ", as its weights, got ", x.scalar_type(), "; convert it with x.to(torch::k",
                    weight.scalar_type(), ")",
                    or_the_module ? ", or the module with to(torch::kFloat)" : "");
}

void check_video(const char* module, const torch::Tensor& x, int64_t channels,
                 const torch::Tensor& weight) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() == 5 && x.size(1) == channels && x.size(2) >= 1, module,
                    ": expected input [N, ", channels, ", T, H, W], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  check_pixels(module, x, {-2, -1}, weight);
}

void check_image(const char* module, const torch::Tensor& x, Batch batch) {
  check_shape(module, x, std::nullopt, batch);
}

}  // namespace convkit::detail

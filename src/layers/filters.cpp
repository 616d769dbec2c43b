#include <convkit/filters.h>

#include "core/check.h"

#include <torch/nn/functional/padding.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace convkit {

using torch::ExpandingArray;

namespace {

void check_odd(const char* name, int64_t kernel_size, int64_t smallest) {
  detail::check_positive(name, "kernel_size", kernel_size);
  TORCH_CHECK_VALUE(kernel_size % 2 == 1 && kernel_size >= smallest, name,
                    ": expected an odd kernel_size >= ", smallest, ", got ", kernel_size);
}

void check_finite(const char* name, const char* option, double value, bool positive) {
  TORCH_CHECK_VALUE(std::isfinite(value) && (!positive || value > 0), name, ": expected a ",
                    positive ? "positive, " : "", "finite ", option, ", got ", value);
}

/// The coefficients of (1 + z)^(size - 1 - order) (z - 1)^order.
torch::Tensor derivative(int64_t size, int order) {
  std::vector<double> kernel(static_cast<std::size_t>(size), 0.0);  // exact up to 2^53
  kernel[0] = 1;
  for (int64_t factor = 1; factor < size; ++factor) {
    const double previous = factor <= order ? -1 : 1;
    for (int64_t i = factor; i >= 0; --i) {
      const auto at = static_cast<std::size_t>(i);
      kernel[at] = previous * kernel[at] + (i > 0 ? kernel[at - 1] : 0.0);
    }
  }
  return torch::tensor(kernel, torch::kFloat);
}

/// Convolves each channel of an image, which is padded already, with a filter of its own.
torch::Tensor depthwise(const torch::Tensor& padded, const torch::Tensor& weight, int64_t stride) {
  const ExpandingArray<2> no_more_padding(0);
  return at::conv2d(padded, weight, {}, stride, no_more_padding, 1, padded.size(1));
}

/// The kernel whose rows are weighted by `across` where `along` runs along the axis.
torch::Tensor outer(Axis axis, const torch::Tensor& along, const torch::Tensor& across) {
  return axis == Axis::kX ? torch::outer(across, along) : torch::outer(along, across);
}

torch::Tensor gaussian(int64_t size, double sigma) {
  // From 1e18 on all weights are equal, and the square still fits into float32.
  const torch::Tensor deviation = torch::tensor(std::min(sigma, 1e18), torch::kFloat);
  const torch::Tensor x = torch::arange(size, torch::kFloat) - static_cast<double>(size / 2);
  // A sigma whose square vanishes leaves the middle alone, instead of 0 / 0.
  const torch::Tensor twice_variance =
      (2 * deviation.pow(2.0)).clamp_min(std::numeric_limits<float>::min());
  const torch::Tensor weights = torch::exp(-x.pow(2.0) / twice_variance);
  return weights / weights.sum(-1, /*keepdim=*/true);
}

}  // namespace

torch::Tensor sobel_kernel(Axis axis, int64_t kernel_size) {
  check_odd("sobel_kernel", kernel_size, 3);
  TORCH_CHECK_VALUE(kernel_size <= 31, "sobel_kernel: expected kernel_size <= 31, got ",
                    kernel_size);
  return outer(axis, derivative(kernel_size, 1), derivative(kernel_size, 0));
}

torch::Tensor scharr_kernel(Axis axis) {
  return outer(axis, derivative(3, 1), torch::tensor({3.F, 10.F, 3.F}));
}

torch::Tensor laplacian_kernel(int64_t kernel_size) {
  check_odd("laplacian_kernel", kernel_size, 3);
  torch::Tensor kernel = torch::ones({kernel_size, kernel_size});
  kernel[kernel_size / 2][kernel_size / 2] = 1 - kernel_size * kernel_size;
  return kernel;
}

torch::Tensor gaussian_kernel(ExpandingArray<2> kernel_size, ExpandingArray<2, double> sigma) {
  for (const int64_t size : *kernel_size) check_odd("gaussian_kernel", size, 1);
  for (const double value : *sigma) check_finite("gaussian_kernel", "sigma", value, true);
  return gaussian(kernel_size->at(0), sigma->at(0)).unsqueeze(1) *
         gaussian(kernel_size->at(1), sigma->at(1));
}

torch::Tensor box_kernel(ExpandingArray<2> kernel_size) {
  for (const int64_t size : *kernel_size) check_odd("box_kernel", size, 1);
  const int64_t area = kernel_size->at(0) * kernel_size->at(1);
  return torch::full({kernel_size->at(0), kernel_size->at(1)}, 1.0 / static_cast<double>(area));
}

torch::Tensor gabor_kernel(const Gabor& gabor) {
  check_odd("gabor_kernel", gabor.kernel_size, 1);
  check_finite("gabor_kernel", "sigma", gabor.sigma, true);
  check_finite("gabor_kernel", "theta", gabor.theta, false);
  check_finite("gabor_kernel", "lambda", gabor.lambda, true);
  check_finite("gabor_kernel", "gamma", gabor.gamma, true);
  check_finite("gabor_kernel", "psi", gabor.psi, false);
  const int64_t radius = gabor.kernel_size / 2;
  const torch::Tensor leftwards = torch::arange(radius, -radius - 1, -1, torch::kDouble);
  const torch::Tensor y = leftwards.unsqueeze(1);
  const torch::Tensor u = leftwards * std::cos(gabor.theta) + y * std::sin(gabor.theta);
  const torch::Tensor v = y * std::cos(gabor.theta) - leftwards * std::sin(gabor.theta);
  const torch::Tensor envelope =
      torch::exp(-(u.square() + (v * gabor.gamma).square()) / (2 * gabor.sigma * gabor.sigma));
  const torch::Tensor wave = torch::cos(u * (2 * std::numbers::pi / gabor.lambda) + gabor.psi);
  return (envelope * wave).to(torch::kFloat);
}

torch::Tensor filter2d(const torch::Tensor& x, const torch::Tensor& kernel,
                       torch::nn::functional::PadFuncOptions::mode_t border) {
  detail::check_image("filter2d", x, detail::Batch::kRequired);
  TORCH_CHECK_VALUE(x.is_floating_point() || x.is_complex(),
                    "filter2d: expected a floating point input, got ", x.scalar_type(),
                    "; convert it with x.to(torch::kFloat)");
  TORCH_CHECK_VALUE(kernel.defined() && kernel.dim() == 2 && kernel.numel() > 0,
                    "filter2d: expected a kernel [height, width], got ",
                    kernel.defined() ? c10::str(kernel.sizes()) : "an undefined tensor");
  const int64_t height = kernel.size(0);
  const int64_t width = kernel.size(1);
  const std::vector<int64_t> pads = {(width - 1) / 2, width / 2, (height - 1) / 2, height / 2};
  const torch::Tensor padded =
      torch::nn::functional::pad(x, torch::nn::functional::PadFuncOptions(pads).mode(border));
  const torch::Tensor weight = kernel.to(x.options()).expand({x.size(1), 1, height, width});
  return depthwise(padded, weight, 1);
}

BlurPool2dImpl::BlurPool2dImpl(BlurPool2dOptions pool_options) : options(std::move(pool_options)) {
  BlurPool2dImpl::reset();
}

void BlurPool2dImpl::reset() {
  if (options.channels()) detail::check_positive("BlurPool2d", "channels", *options.channels());
  detail::check_positive("BlurPool2d", "stride", options.stride());
  // Above 64 the binomials exceed int64.
  TORCH_CHECK_VALUE(options.filt_size() >= 2 && options.filt_size() <= 64,
                    "BlurPool2d: expected 2 <= filt_size <= 64, got ", options.filt_size());
  std::vector<int64_t> binomials(static_cast<std::size_t>(options.filt_size()), 0);
  binomials[0] = 1;
  for (std::size_t n = 1; n < binomials.size(); ++n) {
    for (std::size_t k = n; k > 0; --k) binomials[k] += binomials[k - 1];
  }
  const torch::Tensor coefficients = torch::tensor(binomials).to(torch::kFloat) /
                                     std::exp2(static_cast<double>(options.filt_size() - 1));
  filt = register_non_persistent_buffer("filt",
                                        torch::outer(coefficients, coefficients)
                                            .expand({options.channels().value_or(1), 1, -1, -1})
                                            .clone(torch::MemoryFormat::Contiguous));
}

torch::Tensor BlurPool2dImpl::forward(const torch::Tensor& x) {
  detail::check_image("BlurPool2d", x, detail::Batch::kRequired);
  detail::check_input("BlurPool2d", x, options.channels().value_or(x.size(1)),
                      detail::Batch::kRequired, filt);
  const int64_t padding = (options.stride() - 1 + options.filt_size() - 1) / 2;
  const std::vector<int64_t> pads(4, padding);
  const torch::Tensor padded = torch::nn::functional::pad(
      x, torch::nn::functional::PadFuncOptions(pads).mode(options.pad_mode()));
  return depthwise(padded, filt.expand({x.size(1), 1, -1, -1}), options.stride());
}

void BlurPool2dImpl::pretty_print(std::ostream& stream) const {
  stream << name() << '(';
  if (options.channels()) stream << "channels=" << *options.channels() << ", ";
  stream << "filt_size=" << options.filt_size() << ", stride=" << options.stride() << ')';
}

}  // namespace convkit

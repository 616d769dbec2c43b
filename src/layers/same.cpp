#include <convkit/arithmetic.h>
#include <convkit/same.h>

#include "core/check.h"

#include <torch/nn/functional/padding.h>
#include <torch/nn/modules/conv.h>

#include <limits>
#include <vector>

namespace convkit {

namespace nn = torch::nn;
using torch::ExpandingArray;

namespace {

/// {left, right, top, bottom}, the order of torch's pad.
std::vector<int64_t> same_pads(const char* name, const torch::Tensor& x,
                               const ExpandingArray<2>& kernel_size,
                               const ExpandingArray<2>& stride, const ExpandingArray<2>& dilation) {
  std::vector<int64_t> pads;
  for (const std::size_t axis : {1, 0}) {
    const int64_t size = x.size(static_cast<int64_t>(axis) - 2);
    TORCH_CHECK_VALUE(size >= 1, name, ": expected a height and width >= 1, got ", x.sizes());
    const SamePadding padding = same_padding(size, {.kernel_size = kernel_size->at(axis),
                                                    .stride = stride->at(axis),
                                                    .dilation = dilation->at(axis)});
    pads.push_back(padding.before);
    pads.push_back(padding.after);
  }
  return pads;
}

}  // namespace

torch::Tensor pad_same(const torch::Tensor& x, ExpandingArray<2> kernel_size,
                       ExpandingArray<2> stride, ExpandingArray<2> dilation, double value) {
  detail::check_positive("pad_same", "kernel_size", kernel_size);
  detail::check_positive("pad_same", "stride", stride);
  detail::check_positive("pad_same", "dilation", dilation);
  TORCH_CHECK_VALUE(x.defined() && x.dim() >= 2, "pad_same: expected input [..., H, W], got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  return at::constant_pad_nd(x, same_pads("pad_same", x, kernel_size, stride, dilation), value);
}

Conv2dSameImpl::Conv2dSameImpl(Conv2dSameOptions conv_options) : options(std::move(conv_options)) {
  Conv2dSameImpl::reset();
}

void Conv2dSameImpl::reset() {
  const auto* padding = std::get_if<ExpandingArray<2>>(&options.padding());
  TORCH_CHECK_VALUE(padding != nullptr && **padding == *ExpandingArray<2>(0),
                    "Conv2dSame: expected no padding, which SAME itself computes, got ",
                    padding != nullptr ? c10::str(*padding) : "torch::kSame or torch::kValid");
  const nn::Conv2d conv(detail::checked("Conv2dSame", options));
  weight = register_parameter("weight", conv->weight);
  bias = register_parameter("bias", conv->bias, /*requires_grad=*/options.bias());
}

torch::Tensor Conv2dSameImpl::forward(const torch::Tensor& x) {
  detail::check_input("Conv2dSame", x, options.in_channels(), detail::Batch::kOptional, weight);
  const auto pads =
      same_pads("Conv2dSame", x, options.kernel_size(), options.stride(), options.dilation());
  nn::functional::PadFuncOptions pad(pads);
  if (std::holds_alternative<torch::enumtype::kReflect>(options.padding_mode())) {
    pad.mode(torch::kReflect);
  } else if (std::holds_alternative<torch::enumtype::kReplicate>(options.padding_mode())) {
    pad.mode(torch::kReplicate);
  } else if (std::holds_alternative<torch::enumtype::kCircular>(options.padding_mode())) {
    pad.mode(torch::kCircular);
  }
  const ExpandingArray<2> no_more_padding(0);
  return at::conv2d(nn::functional::pad(x, pad), weight, bias, options.stride(), no_more_padding,
                    options.dilation(), options.groups());
}

void Conv2dSameImpl::pretty_print(std::ostream& stream) const {
  stream << name() << '(' << options.in_channels() << ", " << options.out_channels()
         << ", kernel_size=" << options.kernel_size() << ", stride=" << options.stride();
  if (*options.dilation() != *ExpandingArray<2>(1)) stream << ", dilation=" << options.dilation();
  if (options.groups() != 1) stream << ", groups=" << options.groups();
  if (!options.bias()) stream << ", bias=false";
  if (!std::holds_alternative<torch::enumtype::kZeros>(options.padding_mode())) {
    stream << ", padding_mode=" << torch::enumtype::get_enum_name(options.padding_mode());
  }
  stream << ')';
}

MaxPool2dSameImpl::MaxPool2dSameImpl(MaxPool2dSameOptions pool_options)
    : options(std::move(pool_options)) {
  MaxPool2dSameImpl::reset();
}

void MaxPool2dSameImpl::reset() {
  detail::check_positive("MaxPool2dSame", "kernel_size", options.kernel_size());
  detail::check_positive("MaxPool2dSame", "stride", options.stride());
  detail::check_positive("MaxPool2dSame", "dilation", options.dilation());
}

torch::Tensor MaxPool2dSameImpl::forward(const torch::Tensor& x) {
  detail::check_image("MaxPool2dSame", x);
  const auto pads =
      same_pads("MaxPool2dSame", x, options.kernel_size(), options.stride(), options.dilation());
  constexpr double never_the_maximum = -std::numeric_limits<double>::infinity();
  return at::max_pool2d(at::constant_pad_nd(x, pads, never_the_maximum), options.kernel_size(),
                        options.stride(), 0, options.dilation());
}

void MaxPool2dSameImpl::pretty_print(std::ostream& stream) const {
  stream << name() << "(kernel_size=" << options.kernel_size() << ", stride=" << options.stride()
         << ", dilation=" << options.dilation() << ')';
}

AvgPool2dSameImpl::AvgPool2dSameImpl(AvgPool2dSameOptions pool_options)
    : options(std::move(pool_options)) {
  AvgPool2dSameImpl::reset();
}

void AvgPool2dSameImpl::reset() {
  detail::check_positive("AvgPool2dSame", "kernel_size", options.kernel_size());
  detail::check_positive("AvgPool2dSame", "stride", options.stride());
}

torch::Tensor AvgPool2dSameImpl::forward(const torch::Tensor& x) {
  detail::check_image("AvgPool2dSame", x);
  const auto pads = same_pads("AvgPool2dSame", x, options.kernel_size(), options.stride(), 1);
  return at::avg_pool2d(at::constant_pad_nd(x, pads), options.kernel_size(), options.stride());
}

void AvgPool2dSameImpl::pretty_print(std::ostream& stream) const {
  stream << name() << "(kernel_size=" << options.kernel_size() << ", stride=" << options.stride()
         << ')';
}

}  // namespace convkit

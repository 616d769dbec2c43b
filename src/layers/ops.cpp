#include <convkit/ops.h>

#include "core/check.h"
#include "layers/operator_library.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <torch/nn/init.h>

#include <cmath>
#include <initializer_list>
#include <utility>

namespace convkit {

using detail::RegionPooling;
using torch::ExpandingArray;
using torch::Tensor;

namespace {

using Named = std::pair<const char*, const Tensor&>;

/// The kernels check the rest, whoever calls them.
void check_on_cpu(const char* name, std::initializer_list<Named> tensors) {
  for (const auto& [what, tensor] : tensors) {
    TORCH_CHECK_VALUE(tensor.defined(), name, ": expected ", what, ", got an undefined tensor");
    TORCH_CHECK_VALUE(tensor.device().is_cpu(), name, ": expected ", what, " on cpu, got ",
                      tensor.device(), "; move it with to(torch::kCPU)");
  }
}

/// Puts the number of its image before each box.
Tensor regions(const char* name, const std::vector<Tensor>& boxes) {
  TORCH_CHECK_VALUE(!boxes.empty(), name, ": expected boxes [L, 4] for each image, got none");
  std::vector<Tensor> numbers;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    const Tensor& own = boxes[i];
    check_on_cpu(name, {{"boxes", own}});
    TORCH_CHECK_VALUE(own.dim() == 2 && own.size(1) == 4, name,
                      ": expected boxes [L, 4] for each image, got ", own.sizes());
    numbers.push_back(at::full_like(own.narrow(1, 0, 1), static_cast<double>(i)));
  }
  return at::cat({at::cat(numbers), at::cat(boxes)}, 1);
}

}  // namespace

Tensor nms(const Tensor& boxes, const Tensor& scores, double iou_threshold) {
  check_on_cpu("nms", {{"boxes", boxes}, {"scores", scores}});
  return detail::call_nms(boxes, scores, iou_threshold);
}

Tensor batched_nms(const Tensor& boxes, const Tensor& scores, const Tensor& idxs,
                   double iou_threshold) {
  check_on_cpu("batched_nms", {{"boxes", boxes}, {"scores", scores}, {"idxs", idxs}});
  return detail::call_batched_nms(boxes, scores, idxs, iou_threshold);
}

Tensor box_iou(const Tensor& boxes1, const Tensor& boxes2, const std::string& fmt) {
  for (const Tensor& boxes : {boxes1, boxes2}) {
    TORCH_CHECK_VALUE(boxes.defined(), "box_iou: expected boxes, got an undefined tensor");
  }
  return detail::call_box_iou(boxes1, boxes2, fmt);
}

Tensor roi_align(const Tensor& input, const Tensor& boxes, ExpandingArray<2> output_size,
                 double spatial_scale, int64_t sampling_ratio, bool aligned) {
  check_on_cpu("roi_align", {{"input", input}, {"boxes", boxes}});
  return detail::call_roi_align(input, boxes,
                                {"roi_align", spatial_scale, output_size->at(0), output_size->at(1),
                                 sampling_ratio, aligned});
}

Tensor roi_align(const Tensor& input, const std::vector<Tensor>& boxes,
                 ExpandingArray<2> output_size, double spatial_scale, int64_t sampling_ratio,
                 bool aligned) {
  return roi_align(input, regions("roi_align", boxes), output_size, spatial_scale, sampling_ratio,
                   aligned);
}

Tensor roi_pool(const Tensor& input, const Tensor& boxes, ExpandingArray<2> output_size,
                double spatial_scale) {
  check_on_cpu("roi_pool", {{"input", input}, {"boxes", boxes}});
  return std::get<0>(detail::call_roi_pool(
      input, boxes, {"roi_pool", spatial_scale, output_size->at(0), output_size->at(1)}));
}

Tensor roi_pool(const Tensor& input, const std::vector<Tensor>& boxes,
                ExpandingArray<2> output_size, double spatial_scale) {
  return roi_pool(input, regions("roi_pool", boxes), output_size, spatial_scale);
}

Tensor ps_roi_align(const Tensor& input, const Tensor& boxes, ExpandingArray<2> output_size,
                    double spatial_scale, int64_t sampling_ratio) {
  check_on_cpu("ps_roi_align", {{"input", input}, {"boxes", boxes}});
  return std::get<0>(detail::call_ps_roi_align(
      input, boxes,
      {"ps_roi_align", spatial_scale, output_size->at(0), output_size->at(1), sampling_ratio}));
}

Tensor ps_roi_align(const Tensor& input, const std::vector<Tensor>& boxes,
                    ExpandingArray<2> output_size, double spatial_scale, int64_t sampling_ratio) {
  return ps_roi_align(input, regions("ps_roi_align", boxes), output_size, spatial_scale,
                      sampling_ratio);
}

Tensor deform_conv2d(const Tensor& input, const Tensor& offset, const Tensor& weight,
                     const Tensor& bias, ExpandingArray<2> stride, ExpandingArray<2> padding,
                     ExpandingArray<2> dilation, const Tensor& mask) {
  constexpr const char* kName = "deform_conv2d";
  check_on_cpu(kName, {{"input", input}, {"offset", offset}, {"weight", weight}});
  if (bias.defined()) check_on_cpu(kName, {{"bias", bias}});
  if (mask.defined()) check_on_cpu(kName, {{"mask", mask}});
  TORCH_CHECK_VALUE(input.dim() == 4, "deform_conv2d: expected input [N, C, H, W], got ",
                    input.sizes());
  TORCH_CHECK_VALUE(weight.dim() == 4 && weight.numel() > 0,
                    "deform_conv2d: expected weight [O, C / groups, kh, kw], got ", weight.sizes());
  const int64_t numbers = 2 * weight.size(2) * weight.size(3);
  TORCH_CHECK_VALUE(offset.dim() == 4 && offset.size(1) >= numbers,
                    "deform_conv2d: expected offset [N, ", numbers, " G, H', W'], got ",
                    offset.sizes());
  return detail::call_deform_conv2d(
      {input, weight, offset, mask, bias},
      {*stride, *padding, *dilation, std::max<int64_t>(1, input.size(1) / weight.size(1)),
       offset.size(1) / numbers});
}

DeformConv2dImpl::DeformConv2dImpl(DeformConv2dOptions conv_options)
    : options(std::move(conv_options)) {
  DeformConv2dImpl::reset();
}

void DeformConv2dImpl::reset() {
  detail::checked(
      "DeformConv2d",
      torch::nn::Conv2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
          .stride(options.stride())
          .padding(options.padding())
          .dilation(options.dilation())
          .groups(options.groups()));
  const auto& kernel_size = *options.kernel_size();
  const int64_t in_channels = options.in_channels() / options.groups();
  weight = register_parameter(
      "weight", at::empty({options.out_channels(), in_channels, kernel_size[0], kernel_size[1]}));
  bias = register_parameter("bias", options.bias() ? at::empty({options.out_channels()}) : Tensor(),
                            /*requires_grad=*/options.bias());
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (!bias.defined()) return;
  const int64_t fan_in = in_channels * kernel_size[0] * kernel_size[1];
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  torch::nn::init::uniform_(bias, -bound, bound);
}

void DeformConv2dImpl::pretty_print(std::ostream& stream) const {
  const auto write = [&](const char* what, const ExpandingArray<2>& values) {
    stream << ", " << what << "=(" << values->at(0) << ", " << values->at(1) << ')';
  };
  stream << name() << '(' << options.in_channels() << ", " << options.out_channels();
  write("kernel_size", options.kernel_size());
  write("stride", options.stride());
  if (*options.padding() != *ExpandingArray<2>(0)) write("padding", options.padding());
  if (*options.dilation() != *ExpandingArray<2>(1)) write("dilation", options.dilation());
  if (options.groups() != 1) stream << ", groups=" << options.groups();
  if (!options.bias()) stream << ", bias=False";
  stream << ')';
}

Tensor DeformConv2dImpl::forward(const Tensor& x, const Tensor& offset, const Tensor& mask) {
  detail::check_input("DeformConv2d", x, options.in_channels(), detail::Batch::kRequired, weight);
  return deform_conv2d(x, offset, weight, bias, options.stride(), options.padding(),
                       options.dilation(), mask);
}

}  // namespace convkit

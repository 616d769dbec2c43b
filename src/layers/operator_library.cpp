#include "layers/operator_library.h"

#include "layers/box_operators.h"
#include "layers/deformable.h"
#include "layers/operator_gradients.h"
#include "layers/region_operators.h"
#include "layers/region_pooling.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <optional>
#include <utility>

namespace convkit::detail {

namespace {

using torch::Tensor;
using Pair = std::tuple<Tensor, Tensor>;

// The signatures of the operators' schemas.
using Nms = Tensor(const Tensor&, const Tensor&, double);
using BatchedNms = Tensor(const Tensor&, const Tensor&, const Tensor&, double);
using BoxIou = Tensor(const Tensor&, const Tensor&, std::string_view);
using Align = Tensor(const Tensor&, const Tensor&, double, int64_t, int64_t, int64_t, bool);
using Pool = Pair(const Tensor&, const Tensor&, double, int64_t, int64_t);
using PsAlign = Pair(const Tensor&, const Tensor&, double, int64_t, int64_t, int64_t);
using Deform = Tensor(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                      const std::optional<Tensor>&, torch::IntArrayRef, torch::IntArrayRef,
                      torch::IntArrayRef, int64_t, int64_t);

/// What an operator's kernel calls with its arguments.
using AlignKernel = Tensor(const Tensor&, const Tensor&, const RegionPooling&);
using PoolKernel = Pair(const Tensor&, const Tensor&, const RegionPooling&);
using DeformKernel = Tensor(const DeformableTensors&, const DeformableOptions&);

template <AlignKernel kernel>
Tensor roi_align_by(const Tensor& input, const Tensor& rois, double spatial_scale, int64_t height,
                    int64_t width, int64_t sampling_ratio, bool aligned) {
  return kernel(input, rois, {"roi_align", spatial_scale, height, width, sampling_ratio, aligned});
}

template <PoolKernel kernel>
Pair roi_pool_by(const Tensor& input, const Tensor& rois, double spatial_scale, int64_t height,
                 int64_t width) {
  return kernel(input, rois, {"roi_pool", spatial_scale, height, width, -1, false});
}

template <PoolKernel kernel>
Pair ps_roi_align_by(const Tensor& input, const Tensor& rois, double spatial_scale, int64_t height,
                     int64_t width, int64_t sampling_ratio) {
  return kernel(input, rois, {"ps_roi_align", spatial_scale, height, width, sampling_ratio, true});
}

template <DeformKernel kernel>
Tensor deform_conv2d_by(const Tensor& input, const Tensor& weight, const Tensor& offset,
                        const std::optional<Tensor>& mask, const std::optional<Tensor>& bias,
                        torch::IntArrayRef stride, torch::IntArrayRef padding,
                        torch::IntArrayRef dilation, int64_t groups, int64_t offset_groups) {
  return kernel({input, weight, offset, mask.value_or(Tensor()), bias.value_or(Tensor())},
                {{stride[0], stride[1]},
                 {padding[0], padding[1]},
                 {dilation[0], dilation[1]},
                 groups,
                 offset_groups});
}

/// Autocast computes these in float32, as torchvision does, and gives the input's type.
class InFloat {
 public:
  Tensor operator()(const Tensor& x) const {
    return x.defined() ? at::autocast::cached_cast(torch::kFloat, x, torch::kCPU) : x;
  }

 private:
  c10::impl::ExcludeDispatchKeyGuard no_autocast_{c10::autocast_dispatch_keyset};
};

Tensor nms_autocast(const Tensor& boxes, const Tensor& scores, double iou_threshold) {
  const InFloat in_float;
  return call_nms(in_float(boxes), in_float(scores), iou_threshold);
}

Tensor roi_align_autocast(const Tensor& input, const Tensor& boxes, const RegionPooling& pooling) {
  const InFloat in_float;
  return call_roi_align(in_float(input), in_float(boxes), pooling).to(input.scalar_type());
}

Pair roi_pool_autocast(const Tensor& input, const Tensor& boxes, const RegionPooling& pooling) {
  const InFloat in_float;
  const auto [result, places] = call_roi_pool(in_float(input), in_float(boxes), pooling);
  return {result.to(input.scalar_type()), places};
}

Pair ps_roi_align_autocast(const Tensor& input, const Tensor& boxes, const RegionPooling& pooling) {
  const InFloat in_float;
  const auto [result, channels] = call_ps_roi_align(in_float(input), in_float(boxes), pooling);
  return {result.to(input.scalar_type()), channels};
}

Tensor deform_conv2d_autocast(const DeformableTensors& tensors, const DeformableOptions& options) {
  const InFloat in_float;
  return call_deform_conv2d(
             {in_float(tensors.input), in_float(tensors.weight), in_float(tensors.offset),
              in_float(tensors.mask), in_float(tensors.bias)},
             options)
      .to(tensors.input.scalar_type());
}

void define(torch::Library& library) {
  const std::vector<at::Tag> of_values{at::Tag::dynamic_output_shape};
  library.def("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", of_values);
  library.def(
      "batched_nms(Tensor boxes, Tensor scores, Tensor idxs, float iou_threshold) -> Tensor",
      of_values);
  library.def("box_iou(Tensor boxes1, Tensor boxes2, str fmt=\"xyxy\") -> Tensor");
  library.def(
      "roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, "
      "int pooled_width, int sampling_ratio, bool aligned) -> Tensor");
  library.def(
      "roi_pool(Tensor input, Tensor rois, float spatial_scale, int pooled_height, "
      "int pooled_width) -> (Tensor, Tensor)");
  library.def(
      "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, int pooled_height, "
      "int pooled_width, int sampling_ratio) -> (Tensor, Tensor)");
  library.def(
      "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor? mask, Tensor? bias, "
      "int[2] stride, int[2] padding, int[2] dilation, int groups, int offset_groups) -> Tensor");
}

template <typename Signature>
auto find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// A process may have two copies of the library, each in a plug-in of its own: the first registers.
TORCH_LIBRARY_FRAGMENT(convkit, library) {
  if (c10::Dispatcher::singleton().findSchema({"convkit::nms", ""})) return;
  define(library);
  const auto implement = [&](c10::DispatchKey key, const char* name, auto kernel) {
    library.impl(name, torch::dispatch(key, kernel));
  };
  using Key = c10::DispatchKey;
  implement(Key::CPU, "nms", TORCH_FN(nms_cpu));
  implement(Key::AutocastCPU, "nms", TORCH_FN(nms_autocast));
  implement(Key::CompositeImplicitAutograd, "batched_nms", TORCH_FN(batched_nms_of_parts));
  implement(Key::CompositeImplicitAutograd, "box_iou", TORCH_FN(box_iou_of_parts));
  implement(Key::CPU, "roi_align", TORCH_FN(roi_align_by<roi_align_cpu>));
  implement(Key::Autograd, "roi_align", TORCH_FN(roi_align_by<roi_align_autograd>));
  implement(Key::AutocastCPU, "roi_align", TORCH_FN(roi_align_by<roi_align_autocast>));
  implement(Key::CPU, "roi_pool", TORCH_FN(roi_pool_by<roi_pool_cpu>));
  implement(Key::Autograd, "roi_pool", TORCH_FN(roi_pool_by<roi_pool_autograd>));
  implement(Key::AutocastCPU, "roi_pool", TORCH_FN(roi_pool_by<roi_pool_autocast>));
  implement(Key::CPU, "ps_roi_align", TORCH_FN(ps_roi_align_by<ps_roi_align_cpu>));
  implement(Key::Autograd, "ps_roi_align", TORCH_FN(ps_roi_align_by<ps_roi_align_autograd>));
  implement(Key::AutocastCPU, "ps_roi_align", TORCH_FN(ps_roi_align_by<ps_roi_align_autocast>));
  implement(Key::CPU, "deform_conv2d", TORCH_FN(deform_conv2d_by<deform_conv2d_cpu>));
  implement(Key::Autograd, "deform_conv2d", TORCH_FN(deform_conv2d_by<deform_conv2d_autograd>));
  implement(Key::AutocastCPU, "deform_conv2d", TORCH_FN(deform_conv2d_by<deform_conv2d_autocast>));
}

}  // namespace

Tensor call_nms(const Tensor& boxes, const Tensor& scores, double iou_threshold) {
  static const auto found = find_operator<Nms>("convkit::nms");
  return found.call(boxes, scores, iou_threshold);
}

Tensor call_batched_nms(const Tensor& boxes, const Tensor& scores, const Tensor& idxs,
                        double iou_threshold) {
  static const auto found = find_operator<BatchedNms>("convkit::batched_nms");
  return found.call(boxes, scores, idxs, iou_threshold);
}

Tensor call_box_iou(const Tensor& boxes1, const Tensor& boxes2, std::string_view fmt) {
  static const auto found = find_operator<BoxIou>("convkit::box_iou");
  return found.call(boxes1, boxes2, fmt);
}

Tensor call_roi_align(const Tensor& input, const Tensor& boxes, const RegionPooling& pooling) {
  static const auto found = find_operator<Align>("convkit::roi_align");
  return found.call(input, boxes, pooling.spatial_scale, pooling.height, pooling.width,
                    pooling.sampling_ratio, pooling.aligned);
}

Pair call_roi_pool(const Tensor& input, const Tensor& boxes, const RegionPooling& pooling) {
  static const auto found = find_operator<Pool>("convkit::roi_pool");
  return found.call(input, boxes, pooling.spatial_scale, pooling.height, pooling.width);
}

Pair call_ps_roi_align(const Tensor& input, const Tensor& boxes, const RegionPooling& pooling) {
  static const auto found = find_operator<PsAlign>("convkit::ps_roi_align");
  return found.call(input, boxes, pooling.spatial_scale, pooling.height, pooling.width,
                    pooling.sampling_ratio);
}

Tensor call_deform_conv2d(const DeformableTensors& tensors, const DeformableOptions& options) {
  static const auto found = find_operator<Deform>("convkit::deform_conv2d");
  const auto given = [](const Tensor& x) {
    return x.defined() ? std::optional<Tensor>(x) : std::nullopt;
  };
  return found.call(tensors.input, tensors.weight, tensors.offset, given(tensors.mask),
                    given(tensors.bias), options.stride, options.padding, options.dilation,
                    options.groups, options.offset_groups);
}

}  // namespace convkit::detail

#pragma once

#include "layers/deformable_sizes.h"
#include "layers/regions.h"

#include <torch/types.h>

#include <string_view>
#include <tuple>

/// The operators of the namespace convkit in LibTorch's dispatcher. Who calls one here also links
/// the object that registers all of them.
namespace convkit::detail {

torch::Tensor call_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                       double iou_threshold);
torch::Tensor call_batched_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                               const torch::Tensor& idxs, double iou_threshold);
torch::Tensor call_box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2,
                           std::string_view fmt);
torch::Tensor call_roi_align(const torch::Tensor& input, const torch::Tensor& boxes,
                             const RegionPooling& pooling);
std::tuple<torch::Tensor, torch::Tensor> call_roi_pool(const torch::Tensor& input,
                                                       const torch::Tensor& boxes,
                                                       const RegionPooling& pooling);
std::tuple<torch::Tensor, torch::Tensor> call_ps_roi_align(const torch::Tensor& input,
                                                           const torch::Tensor& boxes,
                                                           const RegionPooling& pooling);
torch::Tensor call_deform_conv2d(const DeformableTensors& tensors,
                                 const DeformableOptions& options);

}  // namespace convkit::detail

#pragma once

#include <torch/types.h>

#include <string_view>

/// The kernels of operators on boxes.
namespace convkit::detail {

torch::Tensor nms_cpu(const torch::Tensor& boxes, const torch::Tensor& scores,
                      double iou_threshold);

/// Made of other operators.
torch::Tensor batched_nms_of_parts(const torch::Tensor& boxes, const torch::Tensor& scores,
                                   const torch::Tensor& idxs, double iou_threshold);
torch::Tensor box_iou_of_parts(const torch::Tensor& boxes1, const torch::Tensor& boxes2,
                               std::string_view fmt);

}  // namespace convkit::detail

#pragma once

#include <convkit/module.h>

#include <torch/arg.h>
#include <torch/expanding_array.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

/// The operators of detection. Each is an operator of LibTorch's dispatcher too, as
/// `convkit::roi_align`, with a gradient and autocast. They run on the CPU, in float32 and float64,
/// and compute float16 and bfloat16 in float32. Threads share the work, forward and backward, and
/// never add to the same number: results do not vary from call to call.
///
/// A box is (x1, y1, x2, y2) where nothing else is said. Boxes of regions are one tensor [K, 5],
/// whose first column is the image's number, or a std::vector of a tensor [L, 4] for each image.
///
/// Throws:  c10::ValueError for other shapes, types and devices than an operator takes, and for the
///          number of an image that is not there.
namespace convkit {

/// Keeps the box of the highest score, drops all others whose intersection over union with it is
/// above iou_threshold, and goes on with the next one. Equal scores keep their order.
///
/// Shape:   boxes [N, 4], scores [N] -> the kept boxes' numbers, by decreasing score
/// Source:  torchvision.ops.nms
CONVKIT_API torch::Tensor nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                              double iou_threshold);

/// nms() within each class: boxes of two classes never drop each other.
///
/// Shape:   boxes [N, 4], scores [N], idxs [N] -> the kept boxes' numbers, by decreasing score
/// Source:  torchvision.ops.batched_nms, which up to 1,000 boxes moves those of each class to a
///          place of their own
CONVKIT_API torch::Tensor batched_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                                      const torch::Tensor& idxs, double iou_threshold);

/// The intersection of each pair of boxes over their union. It has a gradient by both.
///
/// Shape:   boxes1 [..., N, 4], boxes2 [..., M, 4] -> [..., N, M]
/// Throws:  c10::ValueError for a fmt that is none of "xyxy", "xywh" and "cxcywh".
/// Source:  torchvision.ops.box_iou
/// Differs: it has no rotated boxes.
CONVKIT_API torch::Tensor box_iou(const torch::Tensor& boxes1, const torch::Tensor& boxes2,
                                  const std::string& fmt = "xyxy");

/// The mean of bilinear samples in each bin of each box: sampling_ratio^2 of them, and for 0 or
/// less as many as the bin has pixels, rounded up. `aligned` takes half a pixel off the boxes'
/// coordinates. It has a gradient by the input.
///
/// Shape:   input [N, C, H, W], K boxes -> [K, C, output_size]
/// Throws:  c10::ValueError for an output_size below 1, and a sampling_ratio above 4096.
/// Source:  torchvision.ops.roi_align; https://arxiv.org/abs/1703.06870
/// Differs: a sample at no number is outside of the image, as is all of a box of which a bin has
///          more than 2^30 rows or columns.
CONVKIT_API torch::Tensor roi_align(const torch::Tensor& input, const torch::Tensor& boxes,
                                    torch::ExpandingArray<2> output_size, double spatial_scale = 1,
                                    int64_t sampling_ratio = -1, bool aligned = false);
CONVKIT_API torch::Tensor roi_align(const torch::Tensor& input,
                                    const std::vector<torch::Tensor>& boxes,
                                    torch::ExpandingArray<2> output_size, double spatial_scale = 1,
                                    int64_t sampling_ratio = -1, bool aligned = false);

/// The largest pixel in each bin of each box, whose coordinates are rounded; 0 in a bin without
/// pixels. It has a gradient by the input.
///
/// Shape:   input [N, C, H, W], K boxes -> [K, C, output_size]
/// Throws:  c10::ValueError for an output_size below 1.
/// Source:  torchvision.ops.roi_pool; https://arxiv.org/abs/1504.08083
/// Differs: a box with a coordinate that is no number has no pixels.
CONVKIT_API torch::Tensor roi_pool(const torch::Tensor& input, const torch::Tensor& boxes,
                                   torch::ExpandingArray<2> output_size, double spatial_scale = 1);
CONVKIT_API torch::Tensor roi_pool(const torch::Tensor& input,
                                   const std::vector<torch::Tensor>& boxes,
                                   torch::ExpandingArray<2> output_size, double spatial_scale = 1);

/// roi_align() with `aligned`, in which each bin has a channel of its own: that of output channel c
/// and bin (i, j) is (c output_height + i) output_width + j. As in torchvision a box without height
/// or width gives NaN where the number of samples depends on it. It has a gradient by the input.
///
/// Shape:   input [N, C output_height output_width, H, W], K boxes -> [K, C, output_size]
/// Throws:  as roi_align(), and for channels that output_height output_width does not divide.
/// Source:  torchvision.ops.ps_roi_align; https://arxiv.org/abs/1711.07264
CONVKIT_API torch::Tensor ps_roi_align(const torch::Tensor& input, const torch::Tensor& boxes,
                                       torch::ExpandingArray<2> output_size,
                                       double spatial_scale = 1, int64_t sampling_ratio = -1);
CONVKIT_API torch::Tensor ps_roi_align(const torch::Tensor& input,
                                       const std::vector<torch::Tensor>& boxes,
                                       torch::ExpandingArray<2> output_size,
                                       double spatial_scale = 1, int64_t sampling_ratio = -1);

/// A convolution whose kernel looks for each pixel at a place of its own: the offset adds (y, x) to
/// where element k of the kernel looks from an output pixel, and the mask, if there is one, is
/// multiplied with what it finds there. Places between pixels are interpolated, and zeros surround
/// the image. Channels are split into G groups, each with offsets of its own. It has a gradient by
/// every tensor.
///
/// Shape:   input [N, C, H, W], offset [N, 2 G kh kw, H', W'], weight [O, C / groups, kh, kw],
///          bias [O], mask [N, G kh kw, H', W'] -> [N, O, H', W']
/// Throws:  c10::ValueError for a stride or dilation below 1 and a negative padding.
/// Source:  torchvision.ops.deform_conv2d; https://arxiv.org/abs/1811.11168
CONVKIT_API torch::Tensor deform_conv2d(const torch::Tensor& input, const torch::Tensor& offset,
                                        const torch::Tensor& weight, const torch::Tensor& bias = {},
                                        torch::ExpandingArray<2> stride = 1,
                                        torch::ExpandingArray<2> padding = 0,
                                        torch::ExpandingArray<2> dilation = 1,
                                        const torch::Tensor& mask = {});

/// Options of DeformConv2d; kernel_size, stride, padding and dilation take one number or
/// {height, width}.
struct CONVKIT_API DeformConv2dOptions {
  DeformConv2dOptions(int64_t in_channels, int64_t out_channels,
                      torch::ExpandingArray<2> kernel_size)
      : in_channels_(in_channels), out_channels_(out_channels), kernel_size_(kernel_size) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(torch::ExpandingArray<2>, kernel_size);
  TORCH_ARG(torch::ExpandingArray<2>, stride) = 1;
  TORCH_ARG(torch::ExpandingArray<2>, padding) = 0;
  TORCH_ARG(torch::ExpandingArray<2>, dilation) = 1;
  TORCH_ARG(int64_t, groups) = 1;
  TORCH_ARG(bool, bias) = true;
};

/// deform_conv2d() with a weight and a bias of its own. A convolution before it computes the offset
/// and the mask.
///
/// Shape:   x [N, in_channels, H, W], offset [N, 2 G kh kw, H', W'], mask [N, G kh kw, H', W'] or
///          none -> y [N, out_channels, H', W'], as of torch::nn::Conv2d
/// Keys:    weight, bias
/// Throws:  c10::ValueError for a channel count, kernel_size, stride, dilation or groups below 1, a
///          negative padding, any of them above int32, channels not divisible by groups, and for
///          inputs as deform_conv2d().
/// Source:  torchvision.ops.DeformConv2d
class CONVKIT_API DeformConv2dImpl : public Cloneable<DeformConv2dImpl> {
 public:
  explicit DeformConv2dImpl(DeformConv2dOptions options);
  DeformConv2dImpl(int64_t in_channels, int64_t out_channels, torch::ExpandingArray<2> kernel_size)
      : DeformConv2dImpl(DeformConv2dOptions(in_channels, out_channels, kernel_size)) {}

  void reset() override;
  void pretty_print(std::ostream& stream) const override;
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& offset,
                        const torch::Tensor& mask = {});

  DeformConv2dOptions options;
  torch::Tensor weight;
  torch::Tensor bias;  ///< undefined without one
};
CONVKIT_MODULE(DeformConv2d);

}  // namespace convkit

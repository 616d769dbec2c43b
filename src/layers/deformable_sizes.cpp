#include "layers/deformable_sizes.h"

#include "core/check.h"

#include <limits>

namespace convkit::detail {

namespace {

const char* const kName = "deform_conv2d";

void check_types(const DeformableTensors& tensors) {
  const auto type = tensors.input.scalar_type();
  TORCH_CHECK_VALUE(tensors.input.is_floating_point(),
                    "deform_conv2d: expected input of a floating point type, got ", type);
  const auto check = [&](const char* what, const torch::Tensor& tensor) {
    TORCH_CHECK_VALUE(!tensor.defined() || tensor.scalar_type() == type, "deform_conv2d: expected ",
                      what, " of type ", type, ", as the input, got ", tensor.scalar_type());
  };
  check("weight", tensors.weight);
  check("offset", tensors.offset);
  check("mask", tensors.mask);
  check("bias", tensors.bias);
}

void check_options(const DeformableTensors& tensors, const DeformableOptions& options) {
  const auto& weight = tensors.weight;
  for (std::size_t i = 0; i < 2; ++i) {
    check_positive(kName, "kernel_size", weight.size(static_cast<int64_t>(i) + 2));
    check_positive(kName, "stride", options.stride[i]);
    check_positive(kName, "dilation", options.dilation[i]);
    TORCH_CHECK_VALUE(
        options.padding[i] >= 0 && options.padding[i] <= std::numeric_limits<int32_t>::max(),
        "deform_conv2d: expected padding from 0 to 2147483647, got ", options.padding[i]);
  }
  check_positive(kName, "groups", options.groups);
  check_positive(kName, "the number of groups of offsets", options.offset_groups);
  TORCH_CHECK_VALUE(tensors.input.size(1) == weight.size(1) * options.groups,
                    "deform_conv2d: expected input of ", weight.size(1) * options.groups,
                    " channels for weight ", weight.sizes(), " and ", options.groups,
                    " groups, got ", tensors.input.sizes());
  TORCH_CHECK_VALUE(weight.size(0) % options.groups == 0, "deform_conv2d: expected weight of a ",
                    "number of channels divisible by groups ", options.groups, ", got ",
                    weight.sizes());
  TORCH_CHECK_VALUE(tensors.input.size(1) % options.offset_groups == 0,
                    "deform_conv2d: expected input channels divisible by the ",
                    options.offset_groups, " groups of offsets, got ", tensors.input.size(1));
}

}  // namespace

DeformableSizes::DeformableSizes(const DeformableTensors& tensors, const DeformableOptions& options)
    : options(options),
      batch(tensors.input.size(0)),
      channels(tensors.input.size(1)),
      height(tensors.input.size(2)),
      width(tensors.input.size(3)),
      out_channels(tensors.weight.size(0)),
      kernel{tensors.weight.size(2), tensors.weight.size(3)} {
  const std::array<int64_t, 2> size{height, width};
  for (std::size_t i = 0; i < 2; ++i) {
    const int64_t reach = options.dilation[i] * (kernel[i] - 1) + 1;
    const int64_t room = size[i] + 2 * options.padding[i] - reach;
    out[i] = room < 0 ? 0 : room / options.stride[i] + 1;
  }
}

DeformableSizes checked_sizes(const DeformableTensors& tensors, const DeformableOptions& options) {
  const auto& [input, weight, offset, mask, bias] = tensors;
  TORCH_CHECK_VALUE(input.dim() == 4, "deform_conv2d: expected input [N, C, H, W], got ",
                    input.sizes());
  TORCH_CHECK_VALUE(weight.dim() == 4,
                    "deform_conv2d: expected weight [O, C / groups, kh, kw], got ", weight.sizes());
  check_types(tensors);
  check_options(tensors, options);
  const DeformableSizes sizes(tensors, options);
  TORCH_CHECK_VALUE(sizes.height >= 1 && sizes.width >= 1 && sizes.out[0] >= 1 && sizes.out[1] >= 1,
                    "deform_conv2d: expected an input of at least the kernel's size, got ",
                    input.sizes(), " for weight ", weight.sizes());
  TORCH_CHECK_VALUE(sizes.height <= std::numeric_limits<int32_t>::max() / sizes.row() - 3,
                    "deform_conv2d: expected less than 2147483647 pixels, got ", input.sizes());
  const auto check = [&](const char* what, const torch::Tensor& tensor, int64_t count) {
    const std::array<int64_t, 4> expected{sizes.batch, count * options.offset_groups * sizes.taps(),
                                          sizes.out[0], sizes.out[1]};
    TORCH_CHECK_VALUE(tensor.sizes() == torch::IntArrayRef(expected), "deform_conv2d: expected ",
                      what, " ", torch::IntArrayRef(expected), ", got ", tensor.sizes());
  };
  check("offset", offset, 2);
  if (mask.defined()) check("mask", mask, 1);
  TORCH_CHECK_VALUE(!bias.defined() || bias.sizes() == torch::IntArrayRef({sizes.out_channels}),
                    "deform_conv2d: expected bias [", sizes.out_channels, "], got ", bias.sizes());
  return sizes;
}

}  // namespace convkit::detail

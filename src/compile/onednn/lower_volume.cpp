#include "compile/onednn/lower_volume.h"

#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/packed_weights.h"

namespace convkit::detail {

namespace {

constexpr std::size_t kAxes = 3;

/// Strides of volumes whose channels are next to each other.
Sizes volume_strides(const Sizes& sizes) {
  const Sizes rows = row_strides({sizes[0], sizes[2], sizes[3], sizes[4], sizes[1]});
  return {rows[0], 1, rows[1], rows[2], rows[3]};
}

Sizes numbers_of(const Argument& argument, int64_t less = 0) {
  Sizes numbers;
  for (std::size_t i = 0; i < kAxes; ++i) numbers.push_back(number_at(argument, i) - less);
  return numbers;
}

/// Nothing where "same" has more zeros on one side than on the other.
std::optional<Sizes> padding_of(const Operation& operation, const torch::Tensor& weight) {
  const Argument& padding = operation.arguments[4];
  if (!padding.constant.isString()) return numbers_of(padding);
  Sizes result(kAxes, 0);
  if (padding.constant.toStringRef() != "same") return result;
  for (std::size_t i = 0; i < kAxes; ++i) {
    const int64_t reach = weight.size(2 + static_cast<int64_t>(i)) - 1;
    const int64_t total = number_at(operation.arguments[5], i) * reach;
    if (total % 2 != 0) return std::nullopt;
    result[i] = total / 2;
  }
  return result;
}

}  // namespace

bool lower_volume(Lowering& lowering, const Operation& operation) {
  const int64_t input = tensor_argument(operation, 0);
  const int64_t weight_id = tensor_argument(operation, 1);
  const int64_t bias_id = tensor_argument(operation, 2);
  const int64_t output = operation.outputs[0];
  const bool known = lowering.is_constant(weight_id) && lowering.is_float(weight_id) &&
                     (bias_id < 0 || lowering.is_constant(bias_id));
  if (!known || !lowering.is_float(input) || lowering.is_constant(input) ||
      lowering.sizes(input).size() != 2 + kAxes) {
    return false;
  }
  Convolution c;  // of which the weight, its groups and the bias have no fixed number of axes
  c.weight = lowering.value(weight_id).tensor;
  if (bias_id >= 0) c.bias = lowering.value(bias_id).tensor;
  c.groups = operation.arguments[6].constant.toInt();
  const auto padding = padding_of(operation, c.weight);
  if (!padding) return false;

  const torch::Dtype dtype = lowering.memory().dtype();
  const Slot x = lowering.as(input, volume_strides(lowering.sizes(input)), dtype);
  const Sizes& sizes = lowering.sizes(output);
  const Slot y = lowering.memory().new_slot(sizes, volume_strides(sizes), dtype);
  const torch::Tensor weight = grouped_weight(c);
  const dnnl::convolution_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
      desc_of(x), {weight.sizes().vec(), type_of(dtype), dnnl::memory::format_tag::any},
      bias_desc(c), desc_of(y), numbers_of(operation.arguments[3]),
      numbers_of(operation.arguments[5], 1), *padding, *padding, attributes());
  refuse_reference(descriptor.impl_info_str());
  std::vector<Operand> operands{
      Lowering::operand(DNNL_ARG_SRC, x), Lowering::operand(DNNL_ARG_DST, y),
      Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc()))};
  if (c.bias.defined()) operands.push_back(Lowering::operand(DNNL_ARG_BIAS, vector_of(c.bias)));
  StepExplanation explanation = Lowering::explanation_of(Step(operation), y);
  explanation.macs = element_count(sizes) * c.weight.numel() / c.weight.size(0);
  lowering.add_primitive(descriptor, dnnl::convolution_forward(descriptor), std::move(operands),
                         std::move(explanation));
  lowering.memory().set_slot(output, y);
  return true;
}

}  // namespace convkit::detail

#include "compile/onednn/lower_convolution.h"

#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/packed_weights.h"

namespace convkit::detail {

using dnnl::memory;

void refuse_reference(const std::string& implementation) {
  if (implementation.find("ref") != std::string::npos) {
    throw dnnl::error(dnnl_unimplemented, "it has a reference implementation alone");
  }
}

void append(dnnl::post_ops& ops, const std::optional<Operation>& activation) {
  if (!activation) return;
  const Eltwise eltwise = eltwise_of(*activation).value();
  ops.append_eltwise(eltwise.algorithm, eltwise.alpha, eltwise.beta);
}

dnnl::primitive_attr attributes_with(const dnnl::post_ops& ops) {
  dnnl::primitive_attr result = attributes();
  result.set_post_ops(ops);
  return result;
}

PreparedConvolution prepare(const Convolution& c, torch::Dtype dtype, const memory::desc& x,
                            const memory::desc& y, const Sizes& left, const Sizes& right,
                            const dnnl::primitive_attr& attr) {
  const torch::Tensor weight = grouped_weight(c);
  const memory::desc any(weight.sizes().vec(), type_of(dtype), memory::format_tag::any);
  const Sizes dilation{c.dilation[0] - 1, c.dilation[1] - 1};
  const auto inference = dnnl::prop_kind::forward_inference;
  PreparedConvolution result;
  const auto finish = [&](const auto& descriptor) {
    result.implementation = descriptor.impl_info_str();
    refuse_reference(result.implementation);
    result.scratchpad = descriptor.scratchpad_desc();
    result.constants.push_back(
        Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc())));
    if (c.bias.defined()) {
      result.constants.push_back(Lowering::operand(DNNL_ARG_BIAS, vector_of(c.bias)));
    }
  };
  if (c.transposed) {
    const dnnl::deconvolution_forward::primitive_desc descriptor(
        cpu_engine(), inference, dnnl::algorithm::deconvolution_direct, x, any, bias_desc(c), y,
        c.stride, dilation, left, right, attr);
    finish(descriptor);
    result.primitive = dnnl::deconvolution_forward(descriptor);
  } else {
    const dnnl::convolution_forward::primitive_desc descriptor(
        cpu_engine(), inference, dnnl::algorithm::convolution_direct, x, any, bias_desc(c), y,
        c.stride, dilation, left, right, attr);
    finish(descriptor);
    result.primitive = dnnl::convolution_forward(descriptor);
  }
  return result;
}

Slot add_residual(Lowering& lowering, const Convolution& c, const Slot& x, const Sizes& strides,
                  dnnl::post_ops& ops, std::vector<Operand>& operands) {
  const torch::Dtype dtype = lowering.memory().dtype();
  if (c.added >= 0) {
    const Slot added = lowering.as(c.added, strides, dtype);
    if (lowering.may_overwrite(added, strides) && added.buffer != x.buffer) {
      ops.append_sum(1.0F);
      return added;
    }
    Sizes sizes = added.sizes;
    if (c.linear) sizes = {element_count(sizes) / sizes.back(), sizes.back()};
    const memory::desc desc(sizes, type_of(dtype), c.linear ? row_strides(sizes) : strides);
    ops.append_binary(dnnl::algorithm::binary_add, desc);
    operands.push_back(
        Lowering::operand(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, added, desc));
  }
  return lowering.memory().new_slot(lowering.sizes(c.output), strides, dtype);
}

bool lower_convolution(Lowering& lowering, const Convolution& c) {
  if (!lowering.is_float(c.input) || lowering.is_constant(c.input)) return false;
  if (c.activation && !eltwise_of(*c.activation)) return false;
  if (c.added >= 0 && lowering.is_constant(c.added)) return false;
  if (element_count(lowering.sizes(c.output)) == 0) return false;
  if (c.linear) return lower_linear(lowering, c);
  if (lower_with_depthwise(lowering, c) || lower_by_rows(lowering, c)) return true;

  const Slot x = lowering.dense(c.input);
  dnnl::post_ops ops;
  std::vector<Operand> operands;
  const Sizes strides = channels_last_strides(lowering.sizes(c.output));
  const Slot y = add_residual(lowering, c, x, strides, ops, operands);
  append(ops, c.activation);
  Sizes right = c.padding;
  if (c.transposed) {
    for (std::size_t i = 0; i < 2; ++i) right[i] -= c.output_padding[i];
  }
  const PreparedConvolution made = prepare(c, lowering.memory().dtype(), desc_of(x), desc_of(y),
                                           c.padding, right, attributes_with(ops));
  operands.push_back(Lowering::operand(DNNL_ARG_SRC, x));
  operands.push_back(Lowering::operand(DNNL_ARG_DST, y));
  operands.insert(operands.end(), made.constants.begin(), made.constants.end());
  StepExplanation explanation = Lowering::explanation_of(Step(c), y);
  explanation.how = made.implementation;
  lowering.add_primitive(made.primitive, made.scratchpad, std::move(operands),
                         std::move(explanation));
  lowering.memory().set_slot(c.output, y);
  return true;
}

bool lower_linear(Lowering& lowering, const Convolution& c) {
  const torch::Dtype dtype = lowering.memory().dtype();
  const Slot x = lowering.as(c.input, row_strides(lowering.sizes(c.input)), dtype);
  dnnl::post_ops ops;
  std::vector<Operand> operands;
  const Slot y = add_residual(lowering, c, x, row_strides(lowering.sizes(c.output)), ops, operands);
  append(ops, c.activation);

  const auto rows = [&](const Slot& place) {
    const Sizes sizes{element_count(place.sizes) / place.sizes.back(), place.sizes.back()};
    return memory::desc(sizes, type_of(dtype), row_strides(sizes));
  };
  const torch::Tensor weight = c.weight.contiguous();
  const dnnl::inner_product_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, rows(x),
      memory::desc(weight.sizes().vec(), type_of(dtype), memory::format_tag::any), bias_desc(c),
      rows(y), attributes_with(ops));
  refuse_reference(descriptor.impl_info_str());
  operands.push_back(Lowering::operand(DNNL_ARG_SRC, x, rows(x)));
  operands.push_back(Lowering::operand(DNNL_ARG_DST, y, rows(y)));
  operands.push_back(
      Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc())));
  if (c.bias.defined()) operands.push_back(Lowering::operand(DNNL_ARG_BIAS, vector_of(c.bias)));
  lowering.add_primitive(descriptor, dnnl::inner_product_forward(descriptor), std::move(operands),
                         Lowering::explanation_of(Step(c), y));
  lowering.memory().set_slot(c.output, y);
  return true;
}

}  // namespace convkit::detail

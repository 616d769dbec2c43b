#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/packed_weights.h"
#include "compile/plan/step_macs.h"

namespace convkit::detail {

StepExplanation explanation_of_both(const Convolution& first, const Convolution& second,
                                    const Sizes& between, const Slot& y) {
  StepExplanation explanation = Lowering::explanation_of(Step(first), y);
  const StepExplanation other = Lowering::explanation_of(Step(second), y);
  explanation.what += " + " + other.what;
  explanation.macs = macs_of(first, between) + other.macs;
  explanation.fused.emplace_back("conv2d");
  explanation.fused.insert(explanation.fused.end(), other.fused.begin(), other.fused.end());
  return explanation;
}

namespace {

using dnnl::memory;

bool is_pointwise(const Convolution& c) {
  return c.weight.size(2) == 1 && c.weight.size(3) == 1 && c.groups == 1 &&
         c.stride == Sizes{1, 1} && c.padding == Sizes{0, 0} && !c.transposed;
}

bool is_depthwise_3x3(const Convolution& c, int64_t channels) {
  return c.groups == channels && c.weight.size(0) == channels && c.weight.size(2) == 3 &&
         c.weight.size(3) == 3 && c.padding == Sizes{1, 1} && c.dilation == Sizes{1, 1} &&
         c.stride[0] == c.stride[1] && c.stride[0] <= 2;
}

/// Whether no more than an activation follows a convolution.
bool is_plain(const Convolution& c) {
  return c.added < 0 && !c.slope.defined() && !c.scale.defined() && !c.shift.defined() &&
         !is_lopsided(c);
}

/// The depthwise convolution that alone uses the output of a 1x1 one, if it is the next step.
const Convolution* depthwise_after(Lowering& lowering, const Convolution& c) {
  const Step* step = lowering.next_step();
  if (!is_pointwise(c) || !is_plain(c) || lowering.memory().uses(c.output) != 1 ||
      step == nullptr) {
    return nullptr;
  }
  const auto* next = std::get_if<Convolution>(step);
  if (next == nullptr || next->input != c.output || next->linear || next->transposed ||
      !is_plain(*next) || (next->activation && !eltwise_of(*next->activation)) ||
      activation_apart(lowering, c) || activation_apart(lowering, *next) ||
      !lowering.plan().is_pure(next->output)) {
    return nullptr;
  }
  return is_depthwise_3x3(*next, c.weight.size(0)) ? next : nullptr;
}

void add_both(Lowering& lowering, const Convolution& c, const Convolution& depthwise) {
  const auto type = memory::data_type::f32;
  const int place = DNNL_ARG_ATTR_POST_OP_DW;
  dnnl::post_ops ops;
  append(ops, c.activation);
  ops.append_dw(type, depthwise.bias.defined() ? type : memory::data_type::undef, type, 3,
                depthwise.stride[0], 1);
  append(ops, depthwise.activation);
  const Slot x = lowering.dense(c.input);
  const Slot y = lowering.memory().new_slot(depthwise.output);
  const torch::Tensor weight = grouped_weight(c);
  const Sizes& between = lowering.sizes(c.output);
  const dnnl::convolution_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
      desc_of(x), memory::desc(weight.sizes().vec(), type, memory::format_tag::any), bias_desc(c),
      memory::desc(between, type, channels_last_strides(between)), c.stride, Sizes{0, 0}, c.padding,
      c.padding, attributes_with(ops));
  refuse_reference(descriptor.impl_info_str());
  if (descriptor.dst_desc() != desc_of(y)) {
    throw dnnl::error(dnnl_unimplemented, "it gives another layout");
  }
  const memory::desc second =
      descriptor.query_md(dnnl::query::exec_arg_md, place | DNNL_ARG_WEIGHTS);
  std::vector<Operand> operands{
      Lowering::operand(DNNL_ARG_SRC, x), Lowering::operand(DNNL_ARG_DST, y),
      Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc())),
      Lowering::operand(place | DNNL_ARG_WEIGHTS, packed(grouped_weight(depthwise), second))};
  const auto add_bias = [&](int name, const torch::Tensor& bias) {
    if (bias.defined()) operands.push_back(Lowering::operand(name, vector_of(bias)));
  };
  add_bias(DNNL_ARG_BIAS, c.bias);
  add_bias(place | DNNL_ARG_BIAS, depthwise.bias);
  lowering.add_primitive(descriptor, dnnl::convolution_forward(descriptor), std::move(operands),
                         explanation_of_both(c, depthwise, between, y));
  lowering.memory().set_slot(depthwise.output, y);
}

}  // namespace

bool lower_with_depthwise(Lowering& lowering, const Convolution& c) {
  const Convolution* depthwise = depthwise_after(lowering, c);
  if (depthwise == nullptr || lowering.memory().dtype() != torch::kFloat32) return false;
  try {
    add_both(lowering, c, *depthwise);
  } catch (const dnnl::error&) {
    return false;  // oneDNN has it for few sizes: then each of them is computed by itself
  }
  lowering.take_next_step();
  return true;
}

}  // namespace convkit::detail

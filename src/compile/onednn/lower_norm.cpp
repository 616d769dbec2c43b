#include "compile/onednn/lower_norm.h"

#include "compile/onednn/packed_weights.h"

namespace convkit::detail {

namespace {

/// Normalises the last dimension of `sizes`, which is how both places lie in memory.
void add_norm(Lowering& lowering, const Slot& x, const Slot& y, const Sizes& sizes,
              const ChannelNorm& norm, StepExplanation explanation) {
  const dnnl::memory::desc desc(sizes, type_of(lowering.memory().dtype()), row_strides(sizes));
  auto flags = dnnl::normalization_flags::none;
  if (norm.weight.defined()) flags |= dnnl::normalization_flags::use_scale;
  if (norm.bias.defined()) flags |= dnnl::normalization_flags::use_shift;
  const dnnl::layer_normalization_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, desc, desc, static_cast<float>(norm.eps),
      flags, attributes());
  std::vector<Operand> operands{Lowering::operand(DNNL_ARG_SRC, x, desc),
                                Lowering::operand(DNNL_ARG_DST, y, desc)};
  const auto add = [&](int name, const torch::Tensor& tensor) {
    if (tensor.defined()) operands.push_back(Lowering::operand(name, vector_of(tensor)));
  };
  add(DNNL_ARG_SCALE, norm.weight);
  add(DNNL_ARG_SHIFT, norm.bias);
  lowering.add_primitive(descriptor, dnnl::layer_normalization_forward(descriptor),
                         std::move(operands), std::move(explanation));
}

}  // namespace

bool lower_norm(Lowering& lowering, const ChannelNorm& norm) {
  const Slot x = lowering.dense(norm.input);
  const Slot y = lowering.memory().new_slot(norm.output);
  // Rows of channels, as they lie in memory.
  add_norm(lowering, x, y, {x.sizes[0], x.sizes[2], x.sizes[3], x.sizes[1]}, norm,
           Lowering::explanation_of(Step(norm), y));
  lowering.memory().set_slot(norm.output, y);
  return true;
}

bool lower_layer_norm(Lowering& lowering, const Operation& operation) {
  ChannelNorm norm;
  norm.input = tensor_argument(operation, 0);
  norm.output = operation.outputs[0];
  norm.eps = operation.arguments[4].constant.toDouble();
  if (!lowering.is_float(norm.input) || lowering.is_constant(norm.input)) return false;
  for (const std::size_t i : {std::size_t{2}, std::size_t{3}}) {
    const int64_t id = tensor_argument(operation, i);
    if (id < 0) continue;
    if (!lowering.is_constant(id) || !lowering.is_float(id)) return false;
    (i == 2 ? norm.weight : norm.bias) = lowering.value(id).tensor.reshape(-1);
  }
  const int64_t width = element_count(operation.arguments[1].constant.toIntVector());
  const Sizes& sizes = lowering.sizes(norm.input);
  const torch::Dtype dtype = lowering.memory().dtype();
  const Slot x = lowering.as(norm.input, row_strides(sizes), dtype);
  const Slot y = lowering.memory().new_slot(sizes, row_strides(sizes), dtype);
  add_norm(lowering, x, y, {element_count(sizes) / width, width}, norm,
           Lowering::explanation_of("layer_norm", y));
  lowering.memory().set_slot(norm.output, y);
  return true;
}

}  // namespace convkit::detail

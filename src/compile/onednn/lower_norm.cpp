#include "compile/onednn/lower_norm.h"

#include "compile/onednn/packed_weights.h"

namespace convkit::detail {

bool lower_norm(Lowering& lowering, const ChannelNorm& norm) {
  const Slot x = lowering.dense(norm.input);
  const Slot y = lowering.memory().new_slot(norm.output);
  // Rows of channels, as they lie in memory.
  const Sizes rows{x.sizes[0], x.sizes[2], x.sizes[3], x.sizes[1]};
  const dnnl::memory::desc desc(rows, type_of(lowering.memory().dtype()), row_strides(rows));
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
                         std::move(operands), Lowering::explanation_of(Step(norm), y));
  lowering.memory().set_slot(norm.output, y);
  return true;
}

}  // namespace convkit::detail

#include "compile/onednn/lower_softmax.h"

#include "compile/onednn/lower_convolution.h"

namespace convkit::detail {

namespace {

/// Strides of elements that lie in the order in which they are counted, but along `axis` next to each
/// other: oneDNN has a fast softmax for no other ones.
Sizes strides_along(const Sizes& sizes, std::size_t axis) {
  Sizes strides(sizes.size(), 1);
  int64_t stride = sizes[axis];
  for (std::size_t i = sizes.size(); i-- > 0;) {
    if (i == axis) continue;
    strides[i] = stride;
    stride *= sizes[i];
  }
  return strides;
}

}  // namespace

bool lower_softmax(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  if (!lowering.is_float(x) || lowering.is_constant(x) || lowering.sizes(x).empty()) return false;
  const Sizes& sizes = lowering.sizes(x);
  const auto dims = static_cast<int64_t>(sizes.size());
  const int64_t dim = number_at(operation.arguments[1], 0);
  const auto axis = static_cast<std::size_t>(dim < 0 ? dim + dims : dim);
  const torch::Dtype dtype = lowering.memory().dtype();
  const Slot from = lowering.as(x, strides_along(sizes, axis), dtype);
  const Slot to = lowering.may_overwrite(from, from.strides)
                      ? from
                      : lowering.memory().new_slot(sizes, from.strides, dtype);
  const Sizes rows{element_count(sizes) / sizes[axis], sizes[axis]};
  const dnnl::memory::desc desc(rows, type_of(dtype), row_strides(rows));
  const bool log = plain_name(operation).ends_with("log_softmax");
  const dnnl::softmax_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference,
      log ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate, desc, desc, 1,
      attributes());
  refuse_reference(descriptor.impl_info_str());
  lowering.add_primitive(
      descriptor, dnnl::softmax_forward(descriptor),
      {Lowering::operand(DNNL_ARG_SRC, from, desc), Lowering::operand(DNNL_ARG_DST, to, desc)},
      Lowering::explanation_of(plain_name(operation), to));
  lowering.memory().set_slot(operation.outputs[0], to);
  return true;
}

}  // namespace convkit::detail

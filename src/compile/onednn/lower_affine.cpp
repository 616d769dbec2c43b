#include "compile/onednn/lower_affine.h"

#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/packed_weights.h"

namespace convkit::detail {

namespace {

using dnnl::memory;

/// A tensor as it lies in memory: all before an axis, the axis, and all behind it.
Sizes seen_along(const Slot& place, int64_t axis) {
  const auto dims = static_cast<int64_t>(place.sizes.size());
  Sizes order;
  for (int64_t i = 0; i < dims; ++i) order.push_back(i);
  if (dims == 4) order = {0, 2, 3, 1};
  Sizes result{1, 1, 1};
  std::size_t part = 0;
  for (const int64_t dim : order) {
    if (dim == axis) part = 1;
    result[part] *= place.sizes[static_cast<std::size_t>(dim)];
    if (dim == axis) part = 2;
  }
  if (result[2] == 1) result.pop_back();
  return result;
}

/// Describes tensors along an axis, and numbers along it.
class AxisView {
 public:
  AxisView(const Slot& place, int64_t axis)
      : sizes_(seen_along(place, axis)), dtype_(place.dtype) {}

  [[nodiscard]] memory::desc whole() const {
    return {sizes_, type_of(dtype_), row_strides(sizes_)};
  }

  [[nodiscard]] memory::desc numbers() const {
    Sizes sizes(sizes_.size(), 1);
    sizes[1] = sizes_[1];
    return {sizes, memory::data_type::f32, row_strides(sizes)};
  }

  [[nodiscard]] Operand operand(int name, const torch::Tensor& tensor) const {
    const memory::desc desc = numbers();
    return Lowering::operand(
        name, packed(tensor.expand({sizes_[1]}).contiguous().view(desc.get_dims()), desc));
  }

 private:
  Sizes sizes_;
  torch::Dtype dtype_;
};

/// Where a step without another input puts its result.
Slot place_for(Lowering& lowering, const Slot& from, int64_t output) {
  return lowering.may_overwrite(from, from.strides) ? from : lowering.memory().new_slot(output);
}

void add_eltwise(Lowering& lowering, const Slot& from, const Slot& to, const Eltwise& eltwise,
                 const dnnl::post_ops& ops, StepExplanation explanation) {
  const dnnl::eltwise_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, eltwise.algorithm, desc_of(from),
      desc_of(to), eltwise.alpha, eltwise.beta, attributes_with(ops));
  lowering.add_primitive(
      descriptor, dnnl::eltwise_forward(descriptor),
      {Lowering::operand(DNNL_ARG_SRC, from), Lowering::operand(DNNL_ARG_DST, to)},
      std::move(explanation));
}

void add_binary(Lowering& lowering, const Slot& from, const Slot& to, const Affine& affine) {
  const AxisView view(from, affine.axis);
  const bool scales = affine.scale.defined();
  PostOps post;
  if (scales && affine.shift.defined()) {
    post.ops.append_binary(dnnl::algorithm::binary_add, view.numbers());
    post.operands.push_back(
        view.operand(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, affine.shift));
  }
  append(post.ops, affine.activation);
  const dnnl::binary::primitive_desc descriptor(
      cpu_engine(), scales ? dnnl::algorithm::binary_mul : dnnl::algorithm::binary_add,
      view.whole(), view.numbers(), view.whole(), attributes_with(post.ops));
  refuse_reference(descriptor.impl_info_str());
  std::vector<Operand> operands = std::move(post.operands);
  operands.push_back(Lowering::operand(DNNL_ARG_SRC_0, from, view.whole()));
  operands.push_back(view.operand(DNNL_ARG_SRC_1, scales ? affine.scale : affine.shift));
  operands.push_back(Lowering::operand(DNNL_ARG_DST, to, view.whole()));
  lowering.add_primitive(descriptor, dnnl::binary(descriptor), std::move(operands),
                         Lowering::explanation_of(Step(affine), to));
}

}  // namespace

bool lower_affine(Lowering& lowering, const Affine& affine) {
  if (lowering.is_constant(affine.input) || element_count(lowering.sizes(affine.output)) == 0 ||
      (affine.activation && !eltwise_of(*affine.activation))) {
    return false;
  }
  const auto is_number = [](const torch::Tensor& numbers) {
    return !numbers.defined() || numbers.dim() == 0;
  };
  const Slot from = lowering.dense(affine.input);
  const Slot to = place_for(lowering, from, affine.output);
  if (is_number(affine.scale) && is_number(affine.shift)) {
    const Eltwise eltwise{dnnl::algorithm::eltwise_linear,
                          affine.scale.defined() ? affine.scale.item<float>() : 1,
                          affine.shift.defined() ? affine.shift.item<float>() : 0};
    dnnl::post_ops ops;
    append(ops, affine.activation);
    add_eltwise(lowering, from, to, eltwise, ops, Lowering::explanation_of(Step(affine), to));
  } else {
    add_binary(lowering, from, to, affine);
  }
  lowering.memory().set_slot(affine.output, to);
  return true;
}

bool lower_prelu(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  const int64_t weight = tensor_argument(operation, 1);
  if (!lowering.is_float(x) || lowering.is_constant(x) || !lowering.is_constant(weight) ||
      !lowering.is_float(weight)) {
    return false;
  }
  const torch::Tensor slope = lowering.value(weight).tensor.reshape(-1);
  const Slot from = lowering.dense(x);
  const Slot to = place_for(lowering, from, operation.outputs[0]);
  StepExplanation explanation = Lowering::explanation_of("prelu", to);
  if (slope.numel() == 1) {
    const Eltwise eltwise{dnnl::algorithm::eltwise_relu, slope.item<float>()};
    add_eltwise(lowering, from, to, eltwise, {}, std::move(explanation));
  } else {
    const AxisView view(from, 1);
    const dnnl::prelu_forward::primitive_desc descriptor(
        cpu_engine(), dnnl::prop_kind::forward_inference, view.whole(), view.numbers(),
        view.whole(), attributes());
    refuse_reference(descriptor.impl_info_str());
    lowering.add_primitive(
        descriptor, dnnl::prelu_forward(descriptor),
        {Lowering::operand(DNNL_ARG_SRC, from, view.whole()), view.operand(DNNL_ARG_WEIGHTS, slope),
         Lowering::operand(DNNL_ARG_DST, to, view.whole())},
        std::move(explanation));
  }
  lowering.memory().set_slot(operation.outputs[0], to);
  return true;
}

}  // namespace convkit::detail

#include "compile/onednn/lower_view.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace convkit::detail {

namespace {

/// Whether the schema says that the result shares the first argument's memory, or may.
bool is_view(const Operation& operation) {
  const auto& schema = operation.handle.schema();
  const auto* argument = schema.arguments().at(0).alias_info();
  return argument != nullptr && !argument->isWrite() && !schema.returns().empty() &&
         schema.returns()[0].alias_info() != nullptr;
}

/// Whether an operator gives its elements in the order in which they are counted, and copies them where
/// no view does so.
bool keeps_order(const Operation& operation) {
  const std::string name = plain_name(operation);
  return name == "reshape" || name == "flatten" || name == "view" || name == "_unsafe_view" ||
         name == "unflatten";
}

/// Lets the operator's results be views of `from`, which has its first argument; false where LibTorch
/// makes other ones.
bool look_at(Lowering& lowering, const Operation& operation, const Slot& from) {
  ProgramMemory& memory = lowering.memory();
  const int64_t input = tensor_argument(operation, 0);
  const Step step(operation);
  return lowering.with_values(step, [&](std::vector<torch::Tensor>& values) {
    const auto at = [&](int64_t id) -> torch::Tensor& { return tensor_at(values, id); };
    // The same operator, on a tensor that is laid out as the value is.
    const torch::Tensor base = at::empty_strided(from.sizes, from.strides, torch::kFloat32);
    at(input) = base;
    const auto inputs = inputs_of(step);
    const bool known =
        std::all_of(inputs.begin(), inputs.end(), [&](int64_t id) { return at(id).defined(); });
    if (!known) return false;  // it has several inputs
    call(operation, values);
    const bool all = std::all_of(operation.outputs.begin(), operation.outputs.end(),
                                 [&](int64_t id) { return id >= 0 && at(id).is_alias_of(base); });
    if (!all) return false;
    for (const int64_t id : operation.outputs) {
      const torch::Tensor& view = at(id);
      memory.set_slot(id, {from.buffer, from.offset + view.storage_offset(), view.sizes().vec(),
                           view.strides().vec(), from.dtype});
    }
    return true;
  });
}

}  // namespace

bool lower_view(Lowering& lowering, const Operation& operation) {
  if (operation.outputs.empty() || operation.arguments.empty() || !is_view(operation)) return false;
  const int64_t input = tensor_argument(operation, 0);
  if (input < 0 || lowering.is_constant(input) || !lowering.is_float(input)) return false;
  const Slot from = lowering.memory().slot(input);
  if (lowering.memory().buffer(from).kind == Buffer::Kind::kTensor) return false;
  if (look_at(lowering, operation, from)) return true;
  return keeps_order(operation) &&
         look_at(lowering, operation, lowering.as(input, row_strides(from.sizes), from.dtype));
}

bool lower_layout(Lowering& lowering, const Copy& copy) {
  if (lowering.is_constant(copy.input)) return false;
  ProgramMemory& memory = lowering.memory();
  const Slot from = memory.slot(copy.input);
  if (!lowering.plan().is_pure(copy.input)) {  // as it is now: it may be written later
    const Slot to =
        memory.new_slot(from.sizes, dense_or_rows(from.sizes, copy.strides), memory.dtype());
    lowering.add_copy(from, to, "copy of memory that is written in place");
    memory.set_slot(copy.output, to);
    return true;
  }
  const bool of_torch = memory.buffer(from).kind == Buffer::Kind::kTensor;
  if (of_torch && same_layout(from.sizes, from.strides, copy.strides)) return false;
  memory.set_slot(copy.output, lowering.as(copy.input, copy.strides, memory.dtype()));
  return true;
}

bool lower_cat(Lowering& lowering, const Operation& operation) {
  const int64_t y = operation.outputs[0];
  if (lowering.sizes(y).size() != 4 || number_at(operation.arguments[1], 0) != 1) return false;
  const auto& images = operation.arguments[0].values;
  const bool all = std::all_of(images.begin(), images.end(), [&](int64_t id) {
    return id >= 0 && lowering.is_float(id) && !lowering.is_constant(id) &&
           lowering.sizes(id).size() == 4;
  });
  if (!all) return false;
  std::vector<dnnl::memory::desc> descs;
  std::vector<Operand> operands;
  for (const int64_t id : images) {
    if (element_count(lowering.sizes(id)) == 0) continue;
    const Slot x = lowering.dense(id);
    descs.push_back(desc_of(x));
    operands.push_back(
        Lowering::operand(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(operands.size()), x));
  }
  const Slot to = lowering.memory().new_slot(y);
  const dnnl::concat::primitive_desc descriptor(cpu_engine(), desc_of(to), 1, descs, attributes());
  operands.push_back(Lowering::operand(DNNL_ARG_DST, to));
  lowering.add_primitive(descriptor, dnnl::concat(descriptor), std::move(operands),
                         Lowering::explanation_of("cat", to));
  lowering.memory().set_slot(y, to);
  return true;
}

}  // namespace convkit::detail

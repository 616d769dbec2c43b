#include "compile/onednn/lower_torch.h"

#include <ATen/ATen.h>

namespace convkit::detail {

namespace {

/// A tensor that lies as a slot does, in memory of its own: of ones, or of 0, which is an index.
torch::Tensor ones(const Slot& slot) {
  const at::Scalar number = c10::isFloatingType(slot.dtype) ? 1 : 0;
  return at::full({extent(slot.sizes, slot.strides)}, number, slot.dtype)
      .as_strided(slot.sizes, slot.strides);
}

/// Runs a step; false where it does not work on ones, as an inverse does not.
bool try_out(const Step& step, std::vector<torch::Tensor>& values) {
  try {
    run_step(step, values);
  } catch (const c10::Error&) {
    return false;
  }
  return true;
}

/// A tensor of a value's type and sizes, which lies as it was recorded.
torch::Tensor as_recorded(const Graph& plan, int64_t id) {
  const Value& value = plan.value(id);
  const bool view = !plan.is_pure(id);  // of memory that counts
  return at::empty_strided(
      value.sizes, view ? value.strides : dense_or_rows(value.sizes, value.strides), value.dtype);
}

}  // namespace

void lower_to_torch(Lowering& lowering, const Step& step, const std::string& why) {
  const Graph& plan = lowering.plan();
  ProgramMemory& memory = lowering.memory();
  StepCommand command{step, {}, {}};
  StepExplanation explanation = explained(plan, step);
  explanation.by = "LibTorch";
  explanation.how = why.empty() && plan.is_raw(step)
                        ? "since memory that it uses is written in place, or looked at"
                        : why;
  lowering.with_values(step, [&](std::vector<torch::Tensor>& values) {
    const auto at = [&](int64_t id) -> torch::Tensor& { return tensor_at(values, id); };
    for (const int64_t id : inputs_of(step)) {
      if (lowering.is_constant(id)) continue;
      const Slot place = lowering.as(id, memory.slot(id).strides, lowering.value(id).dtype);
      command.inputs.emplace_back(id, place);
      at(id) = ones(place);
    }
    const bool ran = try_out(step, values);
    for (const int64_t id : outputs_of(step)) {
      if (!ran) at(id) = as_recorded(plan, id);
      const torch::Tensor& result = at(id);
      TORCH_CHECK(!result.is_neg() || plan.is_pure(id),
                  "compile: oneDNN cannot write memory that is negated lazily");
      Slot place;
      place.buffer =
          memory.new_buffer(Buffer::Kind::kTensor, static_cast<int64_t>(result.nbytes()), id);
      place.sizes = result.sizes().vec();
      place.strides = result.strides().vec();
      place.dtype = result.scalar_type();
      command.outputs.emplace_back(id, place);
      // A result that may be a view of an input keeps that input's memory from others.
      for (const auto& [input, from] : command.inputs) {
        if (!ran || result.is_alias_of(at(input))) memory.pin(from.buffer);
      }
      memory.set_slot(id, place);
    }
  });
  lowering.add_command(std::move(command), std::move(explanation));
}

}  // namespace convkit::detail

#include "compile/onednn/lower_torch.h"

#include <ATen/ATen.h>

namespace convkit::detail {

void lower_to_torch(Lowering& lowering, const Step& step, const std::string& why) {
  const Graph& plan = lowering.plan();
  ProgramMemory& memory = lowering.memory();
  StepCommand command{step, {}, {}};
  StepExplanation explanation = explained(plan, step);
  explanation.by = "LibTorch";
  const bool raw = plan.is_raw(step);
  explanation.how = why.empty() && raw ? "since its memory is written in place" : why;
  lowering.with_values(step, [&](std::vector<torch::Tensor>& values) {
    const auto at = [&](int64_t id) -> torch::Tensor& { return tensor_at(values, id); };
    for (const int64_t id : inputs_of(step)) {
      if (lowering.is_constant(id)) continue;
      const bool as_recorded = raw && plan.is_pure(id);
      const Sizes strides = as_recorded ? lowering.value(id).strides : memory.slot(id).strides;
      const Slot place = lowering.as(id, strides, lowering.value(id).dtype);
      command.inputs.emplace_back(id, place);
      at(id) = at::empty_strided(place.sizes, place.strides, place.dtype)
                   .fill_(c10::isFloatingType(place.dtype) ? 1 : 0);  // 0 is an index
    }
    run_step(step, values);
    for (const int64_t id : outputs_of(step)) {
      const torch::Tensor& result = at(id);
      Slot place;
      place.buffer =
          memory.new_buffer(Buffer::Kind::kTensor, static_cast<int64_t>(result.nbytes()), id);
      place.sizes = result.sizes().vec();
      place.strides = result.strides().vec();
      place.dtype = result.scalar_type();
      command.outputs.emplace_back(id, place);
      // A result that may be a view of an input keeps that input's memory from others.
      for (const auto& [input, from] : command.inputs) {
        if (result.is_alias_of(at(input))) memory.pin(from.buffer);
      }
      memory.set_slot(id, place);
    }
  });
  lowering.add_command(std::move(command), std::move(explanation));
}

}  // namespace convkit::detail

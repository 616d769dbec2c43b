#include "compile/onednn/program.h"

namespace convkit::detail {

dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

int64_t bytes_of(const Slot& slot) {
  return element_count(slot.sizes) * static_cast<int64_t>(c10::elementSize(slot.dtype));
}

dnnl::memory::data_type type_of(torch::Dtype dtype) {
  TORCH_CHECK(dtype == torch::kFloat32 || dtype == torch::kBFloat16, "compile: no oneDNN type");
  return dtype == torch::kFloat32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

dnnl::memory::desc desc_of(const Slot& slot) {
  return {slot.sizes, type_of(slot.dtype), slot.strides};
}

std::vector<int64_t> buffers_of(const Command& command) {
  std::vector<int64_t> buffers;
  const auto add = [&](int64_t buffer) {
    if (buffer >= 0) buffers.push_back(buffer);
  };
  if (const auto* primitive = std::get_if<PrimitiveCommand>(&command.what)) {
    for (const Operand& operand : primitive->operands) add(operand.buffer);
  } else if (const auto* step = std::get_if<StepCommand>(&command.what)) {
    for (const auto& [id, place] : step->inputs) add(place.buffer);
  } else if (const auto* copy = std::get_if<CopyCommand>(&command.what)) {
    add(copy->from.buffer);
    add(copy->to.buffer);
  } else if (const auto* winograd = std::get_if<WinogradCommand>(&command.what)) {
    add(winograd->from.buffer);
    add(winograd->to.buffer);
    add(winograd->work.buffer);
    if (winograd->added) add(winograd->added->buffer);
  } else if (const auto* planar = std::get_if<PlanarCommand>(&command.what)) {
    add(planar->from.buffer);
    add(planar->to.buffer);
    add(planar->work.buffer);
  } else if (const auto* activation = std::get_if<ActivationCommand>(&command.what)) {
    add(activation->from.buffer);
    add(activation->to.buffer);
  } else {
    add(std::get<TransposeCommand>(command.what).from.buffer);
    add(std::get<TransposeCommand>(command.what).to.buffer);
  }
  return buffers;
}

}  // namespace convkit::detail

#include "compile/onednn/workspace.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <iterator>

namespace convkit::detail {

Workspace::Workspace(const Program& program)
    : memory(c10::GetCPUAllocator()->allocate(program.arena_bytes + program.scratchpad_bytes +
                                              kAlignment)),
      values(program.constants),
      arguments(program.commands.size()),
      step_inputs(program.commands.size()),
      tensor_bindings(program.commands.size()),
      buffers(program.buffers.size()) {
  auto* arena = static_cast<char*>(memory.get());
  arena +=
      aligned(reinterpret_cast<std::uintptr_t>(arena)) - reinterpret_cast<std::uintptr_t>(arena);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    if (program.buffers[i].kind == Buffer::Kind::kArena)
      buffers[i] = arena + program.buffers[i].offset;
  }

  std::vector<std::size_t> makers(values.size(), program.commands.size());
  for (std::size_t i = 0; i < program.commands.size(); ++i) {
    const auto& what = program.commands[i].what;
    if (const auto* step = std::get_if<StepCommand>(&what)) {
      for (const auto& [value, slot] : step->outputs) makers[static_cast<std::size_t>(value)] = i;
      for (const auto& [value, slot] : step->inputs) {
        if (slot.buffer < 0 || buffers[static_cast<std::size_t>(slot.buffer)] == nullptr) continue;
        char* data = buffers[static_cast<std::size_t>(slot.buffer)] +
                     slot.offset * static_cast<int64_t>(c10::elementSize(slot.dtype));
        step_inputs[i].emplace_back(
            value, at::from_blob(data, slot.sizes, slot.strides, at::TensorOptions(slot.dtype)));
      }
      continue;
    }
    const auto* primitive = std::get_if<PrimitiveCommand>(&what);
    if (primitive == nullptr) continue;
    for (const Operand& operand : primitive->operands) {
      if (operand.name == DNNL_ARG_SCRATCHPAD) {
        memories.emplace_back(operand.desc, cpu_engine(), arena + program.arena_bytes);
      } else if (operand.buffer < 0) {
        memories.push_back(operand.constant);
      } else {
        const auto index = static_cast<std::size_t>(operand.buffer);
        char* begin = buffers[index];
        memories.emplace_back(operand.desc, cpu_engine(),
                              begin == nullptr ? nullptr : begin + operand.offset);
        const Binding binding{memories.back().get(), operand.buffer, operand.offset};
        const Buffer& buffer = program.buffers[index];
        if (buffer.kind == Buffer::Kind::kTensor) {
          tensor_bindings[makers.at(static_cast<std::size_t>(buffer.index))].push_back(binding);
        } else if (begin == nullptr) {
          bindings.push_back(binding);
        }
      }
      arguments[i].push_back({operand.name, memories.back().get()});
    }
  }
}

std::unique_ptr<Workspace> FreeWorkspaces::take() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return nullptr;
  std::unique_ptr<Workspace> workspace = std::move(free_.back().workspace);
  free_.pop_back();
  return workspace;
}

void FreeWorkspaces::give_back(std::unique_ptr<Workspace> workspace) {
  std::vector<Free> unneeded;  // whose memory goes back without the lock
  const std::lock_guard lock(mutex_);
  free_.push_back({std::move(workspace), ++calls_});
  const auto needed = std::find_if(free_.begin(), free_.end(),
                                   [&](const Free& free) { return calls_ - free.since <= kKept; });
  unneeded.assign(std::make_move_iterator(free_.begin()), std::make_move_iterator(needed));
  free_.erase(free_.begin(), needed);
}

void FreeWorkspaces::clear() {
  std::vector<Free> unneeded;
  const std::lock_guard lock(mutex_);
  unneeded.swap(free_);
}

}  // namespace convkit::detail

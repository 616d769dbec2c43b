#include "compile/engines/engine.h"
#include "compile/onednn/program.h"

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <sstream>
#include <utility>

namespace convkit::detail {

namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// What one call needs for itself: memory, and oneDNN's handles of it.
struct Workspace {
  explicit Workspace(const Program& program);

  at::DataPtr memory;
  std::vector<torch::Tensor> values;
  dnnl::stream stream{cpu_engine()};
  std::vector<dnnl::memory> memories;
  std::vector<std::vector<dnnl_exec_arg_t>> arguments;  ///< of each command, if it is a primitive

  /// Memory that is another one in each call.
  struct Binding {
    dnnl_memory_t memory;
    int64_t buffer;
    int64_t offset;
  };
  /// Tensors in the workspace that each command's operator takes.
  std::vector<std::vector<std::pair<int64_t, torch::Tensor>>> step_inputs;
  std::vector<Binding> bindings;                      ///< of inputs and outputs
  std::vector<std::vector<Binding>> tensor_bindings;  ///< of what each command's operator makes
  std::vector<char*> buffers;                         ///< begin of each
};

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

void check_status(dnnl_status_t status) {
  TORCH_CHECK(status == dnnl_success, "compile: oneDNN reports error ", static_cast<int>(status));
}

class OnednnEngine : public Engine {
 public:
  explicit OnednnEngine(Program program) : program_(std::move(program)) {}

  Tensors run(const Tensors& inputs) override {
    std::unique_ptr<Workspace> workspace = take();
    Tensors outputs;
    run(*workspace, inputs, outputs);
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
    return outputs;
  }

  std::string text() const override {
    const auto mebibytes = [](std::size_t bytes) {
      std::ostringstream text;
      text.precision(1);
      text << std::fixed << static_cast<double>(bytes) / (1024 * 1024) << " MiB";
      return text.str();
    };
    std::ostringstream text;
    text << "engine: oneDNN " << dnnl_version()->major << '.' << dnnl_version()->minor << '.'
         << dnnl_version()->patch << '\n';
    for (const Command& command : program_.commands) {
      if (!command.text.empty()) text << "  " << command.text << '\n';
    }
    text << "memory: workspace " << mebibytes(program_.arena_bytes)
         << " (buffers of their own: " << mebibytes(program_.separate_bytes) << "), scratchpad "
         << mebibytes(program_.scratchpad_bytes) << ", weights " << mebibytes(program_.weight_bytes)
         << '\n';
    return text.str();
  }

 private:
  std::unique_ptr<Workspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto workspace = std::move(free_.back());
        free_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>(program_);
  }

  void run(Workspace& workspace, const Tensors& inputs, Tensors& outputs) const {
    for (const Program::Output& output : program_.outputs) {
      const bool made =
          output.slot.buffer >= 0 && buffer(output.slot).kind == Buffer::Kind::kOutput;
      outputs.push_back(made ? at::detail::empty_strided_cpu(output.slot.sizes, output.slot.strides,
                                                             output.slot.dtype)
                             : torch::Tensor());
    }
    for (std::size_t i = 0; i < program_.buffers.size(); ++i) {
      const Buffer& buffer = program_.buffers[i];
      const auto index = static_cast<std::size_t>(buffer.index);
      if (buffer.kind == Buffer::Kind::kInput) {
        workspace.buffers[i] =
            static_cast<char*>(const_cast<void*>(inputs[index].const_data_ptr()));
      } else if (buffer.kind == Buffer::Kind::kOutput) {
        workspace.buffers[i] = static_cast<char*>(outputs[index].data_ptr());
      }
    }
    for (const Workspace::Binding& binding : workspace.bindings) bind(workspace, binding);
    for (std::size_t i = 0; i < program_.commands.size(); ++i) {
      const Command& command = program_.commands[i];
      if (const auto* primitive = std::get_if<PrimitiveCommand>(&command.what)) {
        const auto& arguments = workspace.arguments[i];
        check_status(dnnl_primitive_execute(primitive->primitive.get(), workspace.stream.get(),
                                            static_cast<int>(arguments.size()), arguments.data()));
      } else if (const auto* step = std::get_if<StepCommand>(&command.what)) {
        run(workspace, i, *step, inputs, outputs);
      } else {
        const auto& move = std::get<TransposeCommand>(command.what);
        transpose(move.what, static_cast<const float*>(data(workspace, move.from)),
                  static_cast<float*>(data(workspace, move.to)));
      }
      for (const int64_t id : command.drops) {
        workspace.values[static_cast<std::size_t>(id)] = torch::Tensor();
      }
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!outputs[i].defined()) {
        outputs[i] = made_by_operator(workspace, program_.outputs[i], inputs, outputs);
      }
    }
    for (const Program::Output& output : program_.outputs) {
      if (output.slot.buffer >= 0) {
        workspace.values[static_cast<std::size_t>(output.value)] = torch::Tensor();
      }
    }
  }

  const Buffer& buffer(const Slot& slot) const {
    return program_.buffers[static_cast<std::size_t>(slot.buffer)];
  }

  static void* data(const Workspace& workspace, const Slot& slot) {
    return workspace.buffers[static_cast<std::size_t>(slot.buffer)] +
           slot.offset * static_cast<int64_t>(c10::elementSize(slot.dtype));
  }

  static void bind(const Workspace& workspace, const Workspace::Binding& binding) {
    char* begin = workspace.buffers[static_cast<std::size_t>(binding.buffer)];
    check_status(dnnl_memory_set_data_handle(binding.memory, begin + binding.offset));
  }

  void run(Workspace& workspace, std::size_t place, const StepCommand& command,
           const Tensors& inputs, const Tensors& outputs) const {
    // An operator may take a copy, in another layout, of what others take as it is.
    std::vector<std::pair<int64_t, torch::Tensor>> others;
    for (const auto& [value, tensor] : workspace.step_inputs[place]) {
      torch::Tensor& now = workspace.values[static_cast<std::size_t>(value)];
      others.emplace_back(value, std::exchange(now, tensor));
    }
    for (const auto& [value, slot] : command.inputs) {
      if (slot.buffer < 0) continue;
      const Buffer& memory = buffer(slot);
      const bool given = memory.kind == Buffer::Kind::kInput;
      if (!given && memory.kind != Buffer::Kind::kOutput) continue;
      const torch::Tensor& whole =
          (given ? inputs : outputs)[static_cast<std::size_t>(memory.index)];
      torch::Tensor& now = workspace.values[static_cast<std::size_t>(value)];
      others.emplace_back(
          value, std::exchange(now, whole.as_strided(slot.sizes, slot.strides,
                                                     whole.storage_offset() + slot.offset)));
    }
    run_step(command.step, workspace.values);
    for (auto& [value, tensor] : others) {
      workspace.values[static_cast<std::size_t>(value)] = std::move(tensor);
    }
    for (const auto& [value, slot] : command.outputs) {
      torch::Tensor& tensor = workspace.values[static_cast<std::size_t>(value)];
      if (tensor.strides() != slot.strides) {  // those who use it were made for these
        tensor = at::empty_strided(slot.sizes, slot.strides, tensor.options()).copy_(tensor);
      }
      workspace.buffers[static_cast<std::size_t>(slot.buffer)] =
          static_cast<char*>(const_cast<void*>(tensor.const_data_ptr()));
    }
    for (const Workspace::Binding& binding : workspace.tensor_bindings[place]) {
      bind(workspace, binding);
    }
  }

  /// A result that is an operator's of LibTorch, an input or a constant.
  torch::Tensor made_by_operator(const Workspace& workspace, const Program::Output& output,
                                 const Tensors& inputs, const Tensors& outputs) const {
    const auto index = static_cast<std::size_t>(output.value);
    const torch::Tensor& result = index < inputs.size() ? inputs[index] : workspace.values[index];
    const auto shares = [&](const torch::Tensor& other) {
      return other.defined() && other.is_alias_of(result);
    };
    const auto* begin = static_cast<const char*>(workspace.memory.get());
    const auto* data = static_cast<const char*>(result.const_data_ptr());
    const bool in_workspace = std::less_equal<>()(begin, data) &&
                              std::less<>()(data, begin + program_.arena_bytes + kAlignment);
    const bool own = output.slot.buffer >= 0 && !in_workspace && index >= inputs.size() &&
                     std::none_of(inputs.begin(), inputs.end(), shares) &&
                     std::none_of(outputs.begin(), outputs.end(), shares);
    return own ? result : result.clone();
  }

  Program program_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

/// Offsets of the arena's buffers: the largest first, each at the lowest place that no buffer which
/// lives at the same time takes.
void place(Program& program) {
  std::vector<Buffer*> order;
  for (Buffer& buffer : program.buffers) {
    if (buffer.kind == Buffer::Kind::kArena && buffer.used) order.push_back(&buffer);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
  std::vector<Buffer*> placed;
  for (Buffer* buffer : order) {
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const Buffer* other : placed) {
      if (other->first <= buffer->last && buffer->first <= other->last) {
        taken.emplace_back(other->offset, other->offset + other->bytes);
      }
    }
    std::sort(taken.begin(), taken.end());
    int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + buffer->bytes <= begin) break;
      offset = std::max(offset, static_cast<int64_t>(aligned(static_cast<std::size_t>(end))));
    }
    buffer->offset = offset;
    placed.push_back(buffer);
    program.separate_bytes += aligned(static_cast<std::size_t>(buffer->bytes));
    program.arena_bytes =
        std::max(program.arena_bytes, aligned(static_cast<std::size_t>(offset + buffer->bytes)));
  }
}

}  // namespace

bool has_onednn() {
  return true;
}

std::unique_ptr<Engine> make_onednn_engine(const Plan& plan, const Tensors& example,
                                           const EngineOptions& options) {
  const torch::NoGradGuard no_grad;
  try {
    Program program = make_program(plan, example, options);
    place(program);
    return std::make_unique<OnednnEngine>(std::move(program));
  } catch (const dnnl::error& error) {
    TORCH_CHECK(false, "compile: oneDNN: ", error.what());
  }
}

}  // namespace convkit::detail

#include "compile/onednn/engine.h"

#include "compile/engines/activations.h"
#include "compile/onednn/lowering.h"
#include "compile/onednn/planar_command.h"
#include "compile/onednn/winograd_command.h"
#include "compile/onednn/workspace.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace convkit::detail {

namespace {

void check_status(dnnl_status_t status) {
  TORCH_CHECK(status == dnnl_success, "compile: oneDNN reports error ", static_cast<int>(status));
}

class OnednnEngine : public Engine {
 public:
  explicit OnednnEngine(Program program) : program_(std::move(program)) {}

  Tensors run(const Tensors& inputs, const Watch* watch) override {
    std::unique_ptr<Workspace> workspace = workspaces_.take();
    if (!workspace) workspace = new_workspace();
    Tensors outputs;
    run(*workspace, inputs, outputs, watch);
    workspaces_.give_back(std::move(workspace));
    return outputs;
  }

  void let_go() override { workspaces_.clear(); }

  void explain(PlanExplanation& plan) const override {
    const dnnl_version_t* version = dnnl_version();
    plan.engine = c10::str("oneDNN ", version->major, ".", version->minor, ".", version->patch);
    for (const Command& command : program_.commands) {
      if (!command.explanation.what.empty()) plan.steps.push_back(command.explanation);
    }
    plan.choices = program_.choices;
    plan.workspace_bytes = static_cast<int64_t>(program_.arena_bytes);
    plan.separate_bytes = static_cast<int64_t>(program_.separate_bytes);
    plan.scratchpad_bytes = static_cast<int64_t>(program_.scratchpad_bytes);
    plan.weight_bytes = static_cast<int64_t>(program_.weight_bytes);
  }

 private:
  std::unique_ptr<Workspace> new_workspace() const {
    try {
      return std::make_unique<Workspace>(program_);
    } catch (const dnnl::error& error) {
      TORCH_CHECK(false, "compile: oneDNN: ", error.what());
    }
  }

  void run(Workspace& workspace, const Tensors& inputs, Tensors& outputs,
           const Watch* watch) const {
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
      const auto place = [&](const Slot& slot) {
        return static_cast<float*>(data(workspace, slot));
      };
      if (const auto* primitive = std::get_if<PrimitiveCommand>(&command.what)) {
        const auto& arguments = workspace.arguments[i];
        check_status(dnnl_primitive_execute(primitive->primitive.get(), workspace.stream.get(),
                                            static_cast<int>(arguments.size()), arguments.data()));
      } else if (const auto* step = std::get_if<StepCommand>(&command.what)) {
        run(workspace, i, *step, inputs, outputs, watch);
      } else if (const auto* winograd = std::get_if<WinogradCommand>(&command.what)) {
        run_winograd(*winograd,
                     {place(winograd->from), place(winograd->to),
                      winograd->added ? place(*winograd->added) : nullptr, place(winograd->work)});
      } else if (const auto* planar = std::get_if<PlanarCommand>(&command.what)) {
        run_planar(*planar, place(planar->from), place(planar->to), place(planar->work));
      } else if (const auto* active = std::get_if<ActivationCommand>(&command.what)) {
        activate(active->activation, active->threads, element_count(active->to.sizes),
                 place(active->from), place(active->to));
      } else if (const auto* copy = std::get_if<CopyCommand>(&command.what)) {
        tensor_of(workspace, copy->to).copy_(tensor_of(workspace, copy->from));
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

  static torch::Tensor tensor_of(const Workspace& workspace, const Slot& slot) {
    return at::from_blob(data(workspace, slot), slot.sizes, slot.strides,
                         at::TensorOptions(slot.dtype));
  }

  static void bind(const Workspace& workspace, const Workspace::Binding& binding) {
    char* begin = workspace.buffers[static_cast<std::size_t>(binding.buffer)];
    check_status(dnnl_memory_set_data_handle(binding.memory, begin + binding.offset));
  }

  void run(Workspace& workspace, std::size_t place, const StepCommand& command,
           const Tensors& inputs, const Tensors& outputs, const Watch* watch) const {
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
    const auto* operation = std::get_if<Operation>(&command.step);
    if (watch != nullptr && operation != nullptr) (*watch)(*operation, workspace.values);
    run_step(command.step, workspace.values);
    for (auto& [value, tensor] : others) {
      workspace.values[static_cast<std::size_t>(value)] = std::move(tensor);
    }
    for (const auto& [value, slot] : command.outputs) {
      torch::Tensor& tensor = workspace.values[static_cast<std::size_t>(value)];
      if (tensor.is_neg()) tensor = tensor.resolve_neg();
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
                     std::none_of(outputs.begin(), outputs.end(), shares) &&
                     std::none_of(program_.constants.begin(), program_.constants.end(), shares);
    return own ? result : result.clone();
  }

  Program program_;
  FreeWorkspaces workspaces_;
};

}  // namespace

bool has_onednn() {
  return true;
}

std::unique_ptr<Engine> make_onednn_engine(const Graph& plan, const Tensors& example,
                                           const EngineOptions& options) {
  const torch::NoGradGuard no_grad;
  try {
    return std::make_unique<OnednnEngine>(make_program(plan, example, options));
  } catch (const dnnl::error& error) {
    TORCH_CHECK(false, "compile: oneDNN: ", error.what());
  }
}

}  // namespace convkit::detail

#include <convkit/checkpoint.h>
#include <convkit/module.h>

#include "files/file.h"
#include "files/problem.h"
#include "watch/scopes.h"
#include "weights/state_dict.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/fuse_linear.h>

#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace convkit {
namespace {

/// Refuses a name that TorchScript would read back as something of Python's.
void check_name(const std::string& name) {
  static const std::set<std::string> taken = {
      "False",   "None",     "True",     "and",     "as",      "assert", "async",  "await",
      "break",   "class",    "continue", "def",     "del",     "elif",   "else",   "except",
      "finally", "for",      "from",     "global",  "if",      "import", "in",     "is",
      "lambda",  "nonlocal", "not",      "or",      "pass",    "raise",  "return", "try",
      "while",   "with",     "yield",    "forward", "training"};
  TORCH_CHECK_VALUE(!taken.contains(name),
                    "save_torchscript: expected names that TorchScript has no "
                    "other use for, got \"",
                    name, "\"");
}

/// A parameter of a module's twin.
struct TwinParameter {
  torch::jit::Module owner;
  std::string name;
  torch::Tensor value;
};

/// TorchScript's twin of a module: the same tree, names and tensors. Buffers that a state_dict
/// leaves out become constants of the trace. Adds the twin's parameters to the list.
torch::jit::Module twin(const torch::nn::Module& module,
                        const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                        std::vector<TwinParameter>& twin_parameters) {
  const std::string own_name = detail::python_name(module.name());
  c10::QualifiedName name("__torch__." + (own_name.empty() ? "Module" : own_name));
  if (unit->get_class(name) != nullptr) name = unit->mangle(name);
  const auto type = c10::ClassType::create(name, unit, /*is_module=*/true);
  unit->register_type(type);
  torch::jit::Module result(unit, type);
  result.register_attribute("training", c10::BoolType::get(), false);
  const auto parameters = module.named_parameters(/*recurse=*/false);
  for (const auto& entry : detail::own_state(module)) {
    check_name(entry.key());
    const bool is_buffer = !parameters.contains(entry.key());
    result.register_parameter(entry.key(), entry.value(), is_buffer);
    if (!is_buffer) twin_parameters.push_back({result, entry.key(), entry.value()});
  }
  for (const auto& child : module.named_children()) {
    check_name(child.key());
    result.register_module(child.key(), twin(*child.value(), unit, twin_parameters));
  }
  return result;
}

}  // namespace

void save_torchscript(torch::nn::Module& module, const torch::Tensor& example_input,
                      const std::string& path) {
  TORCH_CHECK_VALUE(path.ends_with(".pt") || path.ends_with(".pth"),
                    "save_torchscript: expected a name that ends with .pt or .pth, got ",
                    detail::shown_path(path));
  TORCH_CHECK_VALUE(example_input.defined(),
                    "save_torchscript: expected an example input, got an undefined tensor");
  const torch::NoGradGuard no_grad;
  const detail::EvalMode eval(module);
  const detail::KeepBuffers buffers(module);
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  std::vector<TwinParameter> parameters;
  torch::jit::Module script = twin(module, unit, parameters);
  const auto [state, outputs] = torch::jit::tracer::trace(
      {example_input},
      [&](torch::jit::Stack inputs) -> torch::jit::Stack {
        return {forward_child(module, inputs.at(0).toTensor())};
      },
      [](const torch::autograd::Variable&) { return std::string(); }, /*strict=*/true,
      /*force_outplace=*/false, &script, {"x"});
  // LibTorch's Linear is recorded as two operators, which TorchScript would run by other kernels
  // than the one that both stand for.
  torch::jit::FuseLinear(state->graph);
  torch::jit::EliminateDeadCode(state->graph);
  const c10::QualifiedName forward(*script.type()->name(), "forward");
  script.type()->addMethod(unit->create_function(forward, state->graph));

  // TorchScript would take other kernels for weights with gradients.
  for (auto& [owner, name, value] : parameters) owner.setattr(name, value.detach());
  std::ostringstream stream;
  script.save(stream);
  detail::with_problem(detail::Problem::kCannotBeWritten, [&] {
    detail::NewFile file(path, "save_torchscript: ");
    file.write(stream.view());
    file.commit();
  });
}

}  // namespace convkit

#include <convkit/checkpoint.h>
#include <convkit/module.h>

#include "files/file.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/fuse_linear.h>

#include <set>
#include <sstream>

namespace convkit {
namespace {

/// TorchScript reads a name back as one of Python's.
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

/// Lets the weights stand without gradients, for which TorchScript would take other kernels.
void detach(torch::jit::Module& script, const torch::nn::Module& module) {
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    script.setattr(parameter.key(), parameter.value().detach());
  }
  for (const auto& child : module.named_children()) {
    torch::jit::Module part = script.attr(child.key()).toModule();
    detach(part, *child.value());
  }
}

/// TorchScript's twin of a module: the same tree, names and tensors. Buffers that a state_dict
/// leaves out become constants of the trace.
torch::jit::Module twin(const torch::nn::Module& module,
                        const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  const std::string own_name = detail::python_name(module.name());
  c10::QualifiedName name("__torch__." + (own_name.empty() ? "Module" : own_name));
  if (unit->get_class(name) != nullptr) name = unit->mangle(name);
  const auto type = c10::ClassType::create(name, unit, /*is_module=*/true);
  unit->register_type(type);
  torch::jit::Module result(unit, type);
  result.register_attribute("training", c10::BoolType::get(), false);
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    check_name(parameter.key());
    result.register_parameter(parameter.key(), parameter.value(), /*is_buffer=*/false);
  }
  const auto* ours = dynamic_cast<const TensorModule*>(&module);
  for (const auto& buffer : module.named_buffers(/*recurse=*/false)) {
    const bool persistent =
        ours == nullptr || !ours->non_persistent_buffers().contains(buffer.key());
    if (persistent && buffer.value().defined()) {
      check_name(buffer.key());
      result.register_buffer(buffer.key(), buffer.value());
    }
  }
  for (const auto& child : module.named_children()) {
    check_name(child.key());
    result.register_module(child.key(), twin(*child.value(), unit));
  }
  return result;
}

/// Puts a module into eval mode, and each of its parts and buffers back as it was at the end.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& module) {
    for (const auto& part : module.modules()) modes_.emplace_back(part, part->is_training());
    for (const auto& buffer : module.buffers()) buffers_.emplace_back(buffer, buffer.clone());
    module.eval();
  }
  ~EvalMode() {
    for (auto& [buffer, before] : buffers_) {
      if (!torch::equal(buffer, before)) buffer.copy_(before);
    }
    // train() reaches children, which come after their parents here.
    for (const auto& [part, training] : modes_) part->train(training);
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> modes_;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> buffers_;
};

}  // namespace

void save_torchscript(torch::nn::Module& module, const torch::Tensor& example_input,
                      const std::string& path) {
  TORCH_CHECK_VALUE(path.ends_with(".pt") || path.ends_with(".pth"),
                    "save_torchscript: expected a name that ends with .pt or .pth, got ",
                    detail::shown_path(path));
  TORCH_CHECK_VALUE(example_input.defined(),
                    "save_torchscript: expected an example input, got an undefined tensor");
  const torch::NoGradGuard no_grad;
  const EvalMode eval(module);
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  torch::jit::Module script = twin(module, unit);
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

  detach(script, module);
  std::ostringstream stream;
  script.save(stream);
  detail::NewFile file(path);
  file.write(stream.view());
  file.commit();
}

}  // namespace convkit

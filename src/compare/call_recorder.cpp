#include "compare/call_recorder.h"

#include "core/strides.h"
#include "watch/calls.h"
#include "watch/operator_names.h"
#include "watch/operators.h"
#include "watch/scopes.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/version.h>

#include <map>
#include <optional>
#include <set>

namespace convkit {

namespace {

using detail::CallObserver;
using Module = torch::nn::Module;
namespace nn = torch::nn;

/// Whether the operator of this full name is the forward of the module: of torch::nn's modules with
/// weights, whose own holders do not tell of their calls. LinearImpl may add its bias by a second
/// operator.
bool is_forward_of(const Module& module, const std::string& name) {
  return module.name().starts_with("torch::nn::") &&
         detail::is_given_weights_by(detail::python_name(module.name()), name);
}

template <typename Conv>
bool has_padding_mode(const Module& module) {
  const auto* const conv = module.as<Conv>();
  return conv != nullptr &&
         !std::holds_alternative<torch::enumtype::kZeros>(conv->options.padding_mode());
}

/// Whether a convolution pads by an operator before its own.
bool pads_before(const Module& module) {
  return has_padding_mode<nn::Conv1dImpl>(module) || has_padding_mode<nn::Conv2dImpl>(module) ||
         has_padding_mode<nn::Conv3dImpl>(module);
}

/// Whether an operator's arguments are the convolution's own options: another module may use the
/// same weights at another dilation.
template <typename Conv>
bool has_options(const Module& module, c10::ArrayRef<const c10::IValue> inputs) {
  const auto* const conv = module.as<Conv>();
  if (conv == nullptr) return true;
  return inputs[3].toIntVector() == torch::IntArrayRef(conv->options.stride()).vec() &&
         inputs[5].toIntVector() == torch::IntArrayRef(conv->options.dilation()).vec();
}

/// Whether a matrix product's weight is transposed, as LinearImpl has it.
bool is_transposed(const torch::Tensor& argument, const torch::Tensor& weight) {
  return argument.dim() == 2 && argument.size(0) == weight.size(1) &&
         argument.size(1) == weight.size(0) && argument.stride(0) == weight.stride(1) &&
         argument.stride(1) == weight.stride(0);
}

/// Whether the module itself would call its operator with these arguments.
bool is_called_so(const Module& module, const std::string& name,
                  c10::ArrayRef<const c10::IValue> inputs) {
  if (const auto* const linear = module.as<nn::LinearImpl>()) {
    const std::size_t place = name == "addmm" ? 2 : 1;
    return name == "add" || is_transposed(inputs[place].toTensor(), linear->weight);
  }
  return has_options<nn::Conv1dImpl>(module, inputs) &&
         has_options<nn::Conv2dImpl>(module, inputs) && has_options<nn::Conv3dImpl>(module, inputs);
}

bool adds_bias(const Module& module) {
  const auto* const linear = module.as<nn::LinearImpl>();
  return linear != nullptr && linear->bias.defined();
}

/// Keeps what the modules of one module take and give.
class CallRecorder : public CallObserver, public detail::OperatorObserver {
 public:
  explicit CallRecorder(const Module& module)
      : module_(module), paths_(detail::module_paths(module)) {
    for (const auto& [part, path] : paths_) {
      for (const auto& tensors : {part->named_parameters(false), part->named_buffers(false)}) {
        for (const auto& entry : tensors) {
          if (const auto key = key_of(entry.value())) owners_[*key].insert(part);
        }
      }
    }
  }

  /// Runs the outermost module by `forward`, as its call.
  void run(const ForwardFunction& forward, const std::vector<torch::Tensor>& given) {
    Tensors inputs;
    detail::collect(inputs, "", given);
    Recording::Call call = begun(module_, copied(inputs));
    const detail::Running running(module_);
    const std::vector<torch::Tensor> results = forward(given);
    Tensors outputs;
    detail::collect(outputs, "", results);
    if (results.size() == 1 && !outputs.empty()) outputs[0].first = "";
    end(std::move(call), copied(outputs));
  }

  // Holders tell of the calls of their modules.
  void before(const Module& module, const Tensors& inputs) override {
    if (is_part(module)) open_.begin(begun(module, copied(inputs)));
  }
  void after(const Module& module, const Tensors& outputs) override {
    if (!is_part(module)) return;
    if (auto call = open_.end()) end(std::move(*call), copied(outputs));
  }

  // Operators show the calls of leaves that nobody tells of.
  void before(const c10::OperatorName& operator_name, c10::ArrayRef<const c10::IValue> inputs,
              int64_t depth) override {
    if (depth > 0) return;
    const std::string name = detail::plain_name(operator_name.name);
    const Step last = std::exchange(step_, Step());
    if (name == "_pad_enum") step_.padded = inputs[0].toTensor();
    const auto [leaf, x] = leaf_of(operator_name.name, inputs);
    if (leaf == nullptr) return;
    if (name == "add") {
      // The operator before has to be the matrix product that the bias belongs to.
      if (last.leaf != leaf || !last.output.is_same(x)) return;
      step_.call = last.call;
    } else {
      const bool padded = pads_before(*leaf);
      if (padded && !(last.padded.defined() && last.output.is_same(x))) return;
      const torch::Tensor input = padded ? last.padded : x;
      step_.call = begun(*leaf, {{"0", detail::copy_with_strides(input)}});
    }
    step_.leaf = leaf;
    step_.ends = name != "matmul" || !adds_bias(*leaf);
  }
  void after(c10::ArrayRef<c10::IValue> outputs, int64_t depth) override {
    if (depth > 0) return;
    if (outputs.size() != 1 || !outputs[0].isTensor()) {
      step_ = Step();
      return;
    }
    const torch::Tensor& output = outputs[0].toTensor();
    if (step_.leaf != nullptr && step_.ends) {
      end(std::move(step_.call), {{"", detail::copy_with_strides(output)}});
      step_ = Step();
    } else if (step_.leaf != nullptr || step_.padded.defined()) {
      step_.output = output;
    }
  }

  std::vector<Recording::Call> calls;

 private:
  /// The memory of a tensor, and where the tensor begins in it: a parameter and its transpose have
  /// the same key.
  using Key = std::pair<const void*, int64_t>;

  /// The operator that ran last.
  struct Step {
    const Module* leaf = nullptr;  ///< the module whose forward it belongs to
    Recording::Call call;
    bool ends = false;     ///< it is the last one of the call
    torch::Tensor padded;  ///< its input, if it pads
    torch::Tensor output;
  };

  static std::optional<Key> key_of(const torch::Tensor& tensor) {
    if (!tensor.defined() || !tensor.has_storage()) return std::nullopt;
    return Key{tensor.storage().unsafeGetStorageImpl(), tensor.storage_offset()};
  }

  static Tensors copied(const Tensors& tensors) {
    Tensors copies;
    for (const auto& [name, tensor] : tensors) {
      copies.emplace_back(name, detail::copy_with_strides(tensor));
    }
    return copies;
  }

  /// Neither the outermost module, whose call is run()'s, nor one of another network that runs inside.
  bool is_part(const Module& module) const {
    return &module != &module_ && paths_.contains(&module);
  }

  Recording::Call begun(const Module& module, Tensors inputs) {
    const std::string& path = paths_.at(&module);
    return {path, counts_[path]++, std::move(inputs), {}};
  }

  void end(Recording::Call call, Tensors outputs) {
    call.outputs = std::move(outputs);
    calls.push_back(std::move(call));
  }

  /// Finds the one module whose forward the operator is, by the weights among its arguments, and
  /// gives it with the one other argument. It gives no module where there is a doubt.
  std::pair<const Module*, torch::Tensor> leaf_of(const std::string& name,
                                                  c10::ArrayRef<const c10::IValue> inputs) const {
    std::optional<std::set<const Module*>> leaves;
    torch::Tensor x;
    for (const c10::IValue& value : inputs) {
      if (!value.isTensor() || !value.toTensor().defined()) continue;
      const torch::Tensor& tensor = value.toTensor();
      const auto key = key_of(tensor);
      const auto found = key ? owners_.find(*key) : owners_.end();
      if (found == owners_.end()) {
        if (x.defined()) return {};
        x = tensor;
      } else if (!leaves) {
        leaves = found->second;
      } else {
        std::erase_if(*leaves, [&](const Module* leaf) { return !found->second.contains(leaf); });
      }
    }
    if (!x.defined() || !leaves) return {};
    std::erase_if(*leaves, [&](const Module* leaf) {
      return !is_forward_of(*leaf, name) || !is_called_so(*leaf, detail::plain_name(name), inputs);
    });
    if (leaves->size() != 1 || detail::is_running(**leaves->begin())) return {};
    return {*leaves->begin(), x};
  }

  const Module& module_;
  std::map<const Module*, std::string> paths_;
  std::map<Key, std::set<const Module*>> owners_;
  std::map<std::string, int64_t> counts_;
  detail::OpenCalls<Recording::Call> open_;
  Step step_;
};

}  // namespace

namespace detail {

std::vector<Recording::Call> record_calls(Module& module, const ForwardFunction& forward,
                                          const std::vector<torch::Tensor>& inputs) {
  CallRecorder recorder(module);
  observe_calls(recorder,
                [&] { observe_operators(recorder, [&] { recorder.run(forward, inputs); }); });
  return std::move(recorder.calls);
}

ForwardFunction forward_of(Module& module) {
  return [&module](const std::vector<torch::Tensor>& inputs) {
    return std::vector<torch::Tensor>{forward_child(module, inputs.at(0))};
  };
}

}  // namespace detail

Recording record(Module& module, const torch::Tensor& input) {
  return record(module, detail::forward_of(module), {input});
}

Recording record(Module& module, const ForwardFunction& forward,
                 const std::vector<torch::Tensor>& inputs) {
  TORCH_CHECK_VALUE(forward != nullptr, "record: expected a forward, got an empty function");
  const torch::NoGradGuard no_grad;
  const detail::EvalMode eval(module);
  const detail::KeepBuffers buffers(module);
  const detail::KeepRandomState random;
  Recording recording;
  for (const auto& entry : state_dict(module)) {
    recording.state_dict.insert(entry.key(), entry.value().clone());
  }
  std::vector<torch::Tensor> copies;
  for (const torch::Tensor& input : inputs) {
    TORCH_CHECK_VALUE(input.defined(), "record: expected tensors as inputs, got an undefined one");
    copies.push_back(detail::copy_with_strides(input));
    if (!input.is_contiguous() && input.is_contiguous(torch::MemoryFormat::ChannelsLast)) {
      recording.memory_format = "channels_last";
    }
  }
  recording.calls = detail::record_calls(module, forward, copies);
  recording.torch = TORCH_VERSION;
  recording.cpu = at::get_cpu_capability();
  recording.threads = at::get_num_threads();
  std::set<std::string> called;
  for (const Recording::Call& call : recording.calls) called.insert(call.path);
  recording.classes.emplace("", detail::python_name(module.name()));
  for (const auto& entry : module.named_modules("", /*include_self=*/false)) {
    recording.classes.emplace(entry.key(), detail::python_name(entry.value()->name()));
    if (!called.contains(entry.key())) recording.never_called.push_back(entry.key());
  }
  return recording;
}

}  // namespace convkit

#include "summary/collector.h"

#include "summary/macs.h"
#include "summary/unseen_calls.h"
#include "watch/calls.h"
#include "watch/operator_names.h"
#include "watch/operators.h"

#include <algorithm>
#include <utility>

namespace convkit::detail {

namespace {

using Module = torch::nn::Module;
using Sizes = std::vector<int64_t>;

/// Gives the tensors among values, those in lists included.
template <typename Values>
std::vector<torch::Tensor> tensors_of(const Values& values) {
  std::vector<torch::Tensor> tensors;
  for (const c10::IValue& value : values) {
    if (value.isTensor() && value.toTensor().defined()) tensors.push_back(value.toTensor());
    if (value.isTensorList()) {
      for (const torch::Tensor& tensor : value.toTensorVector()) {
        if (tensor.defined()) tensors.push_back(tensor);
      }
    }
  }
  return tensors;
}

/// Is told of the calls of modules and of operators, and finds out which belong together.
class Collector : public OperatorObserver, public CallObserver {
 public:
  explicit Collector(const Module& root) : root_(root) {
    add(root);
    for (const auto& part : root.modules(/*include_self=*/false)) add(*part);
  }

  // Holders tell of the calls of their modules.
  void before(const Module& module, const Tensors& inputs) override {
    const auto found = modules_.find(&module);
    if (found == modules_.end()) return;
    found->second.observed = true;
    std::vector<Sizes> sizes;
    for (const auto& [name, tensor] : inputs) sizes.push_back(tensor.sizes().vec());
    open_.begin(std::move(sizes));
    if (&module == &root_) {
      for (const auto& [name, tensor] : inputs) {
        record.input_bytes += static_cast<int64_t>(tensor.nbytes());
      }
      if (inputs.size() == 1) fields_.begin(inputs[0].second);
    }
  }
  void after(const Module& module, const Tensors& outputs) override {
    const auto found = modules_.find(&module);
    if (found == modules_.end()) return;
    std::vector<torch::Tensor> tensors;
    for (const auto& [name, tensor] : outputs) tensors.push_back(tensor);
    if (auto inputs = open_.end()) add_call(found->second, std::move(*inputs), tensors);
  }

  // LibTorch tells of its operators.
  void before(const c10::OperatorName& operator_name, c10::ArrayRef<const c10::IValue> inputs,
              int64_t depth) override {
    frames_.resize(depth);
    Frame frame;
    frame.name = operator_name.name;
    const auto tensors = tensors_of(inputs);
    frame.owner = owner_of(tensors);
    frame.counts = !frames_.empty() && frames_.back().counts;
    if (!frame.counts) {
      std::vector<Sizes> sizes;
      for (const torch::Tensor& tensor : tensors) sizes.push_back(tensor.sizes().vec());
      frame.call = mac_call_of(frame.name, inputs, std::move(sizes));
      frame.counts = frame.call.rule != MacRule::kNone;
    }
    frame.operation = fields_.start(inputs);
    if (depth == 0) find_module(frame, tensors);
    frames_.push_back(std::move(frame));
  }
  void after(c10::ArrayRef<c10::IValue> outputs, int64_t depth) override {
    if (frames_.size() <= static_cast<std::size_t>(depth)) return;
    const Frame frame = std::move(frames_[depth]);
    frames_.resize(depth);
    const auto tensors = tensors_of(outputs);
    if (tensors.empty()) return;
    fields_.finish(frame.name, frame.operation, tensors);
    if (frame.call.rule != MacRule::kNone) {
      const Module* const place = frame.owner != nullptr ? frame.owner : scope();
      modules_.at(place).macs += macs_of(frame.call, tensors[0].sizes());
    }
    if (frame.module != nullptr) {
      add_call(modules_.at(frame.module), frame.module_inputs, tensors);
    }
  }

  ForwardRecord record;

 private:
  /// An operator that runs.
  struct Frame {
    std::string name;
    MacCall call;         ///< of the outermost operator that counts
    bool counts = false;  ///< it is one, or within one
    ReceptiveFields::Operation operation;
    const Module* owner = nullptr;   ///< of a weight among the arguments
    const Module* module = nullptr;  ///< whose call this is
    std::vector<Sizes> module_inputs;
  };

  void add(const Module& module) {
    const auto [place, added] = modules_.try_emplace(&module);
    if (!added) return;
    place->second.type = python_name(module.name());
    for (const auto& tensors : {module.named_parameters(false), module.named_buffers(false)}) {
      for (const auto& entry : tensors) {
        if (entry.value().defined() && entry.value().has_storage()) {
          owners_.emplace(entry.value().storage().unsafeGetStorageImpl(), &module);
        }
      }
    }
  }

  const Module* owner_of(const std::vector<torch::Tensor>& tensors) const {
    for (const torch::Tensor& tensor : tensors) {
      if (!tensor.has_storage()) continue;
      const auto found = owners_.find(tensor.storage().unsafeGetStorageImpl());
      if (found != owners_.end()) return found->second;
    }
    return nullptr;
  }

  /// Gives the innermost module of the network that runs.
  const Module* scope() const {
    for (const Running* running = Running::innermost; running != nullptr;
         running = running->outer) {
      if (modules_.contains(&running->module)) return &running->module;
    }
    return &root_;
  }

  /// Finds the module whose call an operator is, where no holder of ours tells of it.
  void find_module(Frame& frame, const std::vector<torch::Tensor>& tensors) {
    const Module* const inside = scope();
    const Module* module = frame.owner;
    if (module != nullptr && module != inside) {
      // An operator on weights alone rearranges them, and does not apply them. LinearImpl adds its
      // bias after the matrix product, which is the call.
      const bool applied = std::any_of(tensors.begin(), tensors.end(), [&](const auto& tensor) {
        return tensor.has_storage() && !owners_.contains(tensor.storage().unsafeGetStorageImpl());
      });
      const bool adds_bias = is_in_place(frame.name) && plain_name(frame.name) == "add";
      if (!applied || modules_.at(module).observed || adds_bias) return;
    } else if (module == nullptr) {
      module = unseen_.find(*inside, plain_name(frame.name));
      if (module == nullptr) return;
      modules_.at(module).inferred = true;
    } else {
      return;
    }
    frame.module = module;
    for (const torch::Tensor& tensor : tensors) {
      if (tensor.has_storage() && !owners_.contains(tensor.storage().unsafeGetStorageImpl())) {
        frame.module_inputs.push_back(tensor.sizes().vec());
        break;
      }
    }
  }

  /// Counts a call that has ended; one that throws does not count.
  void add_call(ModuleRecord& seen, std::vector<Sizes> inputs,
                const std::vector<torch::Tensor>& outputs) const {
    if (seen.calls++ == 0) seen.inputs = std::move(inputs);
    if (seen.calls == 1 && outputs.size() == 1) seen.field = fields_.of(outputs[0]);
    for (const torch::Tensor& tensor : outputs) {
      if (seen.calls == 1) seen.outputs.push_back(tensor.sizes().vec());
      if (seen.dtype.empty()) seen.dtype = c10::toString(tensor.scalar_type());
      seen.output_bytes += static_cast<int64_t>(tensor.nbytes());
    }
  }

  const Module& root_;
  std::map<const Module*, ModuleRecord>& modules_ = record.modules;
  UnseenCalls unseen_{modules_};
  std::map<const void*, const Module*> owners_;
  OpenCalls<std::vector<Sizes>> open_;
  std::vector<Frame> frames_;  ///< of the operators that run, by their depth
  ReceptiveFields fields_;
};

}  // namespace

ForwardRecord watched(const Module& module, const std::function<void()>& forward) {
  Collector collector(module);
  observe_calls(collector, [&] { observe_operators(collector, forward); });
  return std::move(collector.record);
}

}  // namespace convkit::detail

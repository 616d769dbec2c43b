#include <convkit/summary.h>

#include "summary/receptive_field.h"
#include "watch/calls.h"
#include "watch/operators.h"
#include "watch/scopes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace convkit {

namespace {

using detail::CallObserver;
using detail::Running;
using Module = torch::nn::Module;
using Sizes = std::vector<int64_t>;

/// Torch.nn's modules without weights, by the operator that each calls.
bool calls_operator(const std::string& type, const std::string& name) {
  static const std::multimap<std::string, std::string> table = {
      {"relu", "ReLU"},
      {"relu6", "ReLU6"},
      {"hardtanh", "ReLU6"},
      {"hardtanh", "Hardtanh"},
      {"leaky_relu", "LeakyReLU"},
      {"elu", "ELU"},
      {"elu", "SELU"},
      {"selu", "SELU"},
      {"celu", "CELU"},
      {"silu", "SiLU"},
      {"gelu", "GELU"},
      {"mish", "Mish"},
      {"sigmoid", "Sigmoid"},
      {"tanh", "Tanh"},
      {"softmax", "Softmax"},
      {"softmax", "Softmax2d"},
      {"log_softmax", "LogSoftmax"},
      {"softplus", "Softplus"},
      {"max_pool2d", "MaxPool2d"},
      {"avg_pool2d", "AvgPool2d"},
      {"adaptive_avg_pool2d", "AdaptiveAvgPool2d"},
      {"adaptive_max_pool2d", "AdaptiveMaxPool2d"},
      {"upsample_nearest2d", "Upsample"},
      {"upsample_bilinear2d", "Upsample"},
      {"upsample_bicubic2d", "Upsample"},
      {"pixel_shuffle", "PixelShuffle"},
      {"pixel_unshuffle", "PixelUnshuffle"},
      {"flatten", "Flatten"},
      {"dropout", "Dropout"},
      {"feature_dropout", "Dropout2d"},
      {"batch_norm", "BatchNorm2d"},
      {"instance_norm", "InstanceNorm2d"},
      {"constant_pad_nd", "ZeroPad2d"},
      {"constant_pad_nd", "ConstantPad2d"},
      {"reflection_pad2d", "ReflectionPad2d"},
      {"replication_pad2d", "ReplicationPad2d"},
  };
  std::string plain = name.substr(name.find("::") == std::string::npos ? 0 : name.find("::") + 2);
  if (plain.ends_with('_')) plain.pop_back();
  const auto [first, last] = table.equal_range(plain);
  return std::any_of(first, last, [&](const auto& entry) { return entry.second == type; });
}

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

int64_t product(torch::IntArrayRef sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

/// What scaled_dot_product_attention is made of, where that is not matrix products.
bool is_fused_attention(const std::string& name) {
  return name == "aten::_scaled_dot_product_flash_attention_for_cpu" ||
         name == "aten::_scaled_dot_product_flash_attention" ||
         name == "aten::_scaled_dot_product_efficient_attention" ||
         name == "aten::_scaled_dot_product_cudnn_attention";
}

/// FlopCounterMode's formulas, divided by two; nothing for other operators.
std::optional<int64_t> macs_of(const std::string& name, const std::vector<Sizes>& inputs,
                               bool transposed, torch::IntArrayRef output) {
  if (name == "aten::convolution" && inputs.size() >= 2) {
    const torch::IntArrayRef x = inputs[0];
    const torch::IntArrayRef weight = inputs[1];
    const auto spatial = (transposed ? x : output).slice(output.size() - weight.size() + 2);
    return product(spatial) * (output.size() == weight.size() ? output[0] : 1) * product(weight);
  }
  const auto matrix = [&](std::size_t first) { return product(output) * inputs[first].back(); };
  if ((name == "aten::mm" || name == "aten::bmm") && inputs.size() == 2) return matrix(0);
  if ((name == "aten::addmm" || name == "aten::baddbmm") && inputs.size() == 3) return matrix(1);
  if (is_fused_attention(name) && inputs.size() >= 3) {
    const Sizes& q = inputs[0];
    const Sizes& k = inputs[1];
    const Sizes& v = inputs[2];
    return q[0] * q[1] * q[2] * k[2] * (q[3] + v[3]);
  }
  return std::nullopt;
}

/// What is known of one module.
struct Seen {
  std::string type;
  std::vector<Sizes> inputs;
  std::vector<Sizes> outputs;
  detail::ReceptiveFields::Field field;
  std::string dtype;
  int64_t calls = 0;
  int64_t macs = 0;
  int64_t output_bytes = 0;
  bool observed = false;  ///< by CallObserver
  bool inferred = false;
};

class Collector : public detail::OperatorObserver, public CallObserver {
 public:
  explicit Collector(const Module& root) : root_(root) {
    add(root);
    for (const auto& part : root.modules(/*include_self=*/false)) add(*part);
  }

  // Calls of modules.
  void before(const Module& module, const Tensors& inputs) override {
    const auto found = modules_.find(&module);
    if (found == modules_.end()) return;
    found->second.observed = true;
    std::vector<Sizes> sizes;
    for (const auto& [name, tensor] : inputs) sizes.push_back(tensor.sizes().vec());
    open_.begin(std::move(sizes));
    if (&module == &root_) {
      for (const auto& [name, tensor] : inputs) input_bytes += tensor.nbytes();
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

  // Operators.
  void before(const c10::OperatorName& operator_name, c10::ArrayRef<const c10::IValue> inputs,
              int64_t depth) override {
    const std::string& name = operator_name.name;
    frames_.resize(depth);
    Frame frame;
    frame.name = name;
    const auto tensors = tensors_of(inputs);
    for (const torch::Tensor& tensor : tensors) frame.inputs.push_back(tensor.sizes().vec());
    frame.owner = owner_of(tensors);
    frame.transposed = name == "aten::convolution" && inputs.size() > 6 && inputs[6].isBool() &&
                       inputs[6].toBool();
    frame.counts = !frames_.empty() && frames_.back().counts;
    frame.first = frame.counts ? false : counted(name);
    frame.counts = frame.counts || frame.first;
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
    if (frame.first) {
      if (const auto macs =
              macs_of(frame.name, frame.inputs, frame.transposed, tensors[0].sizes())) {
        const Module* place = frame.owner != nullptr ? frame.owner : scope();
        modules_.at(place).macs += *macs;
      }
    }
    if (frame.module != nullptr) {
      add_call(modules_.at(frame.module), frame.module_inputs, tensors);
    }
  }

  const Seen& of(const Module& module) const { return modules_.at(&module); }

  int64_t input_bytes = 0;

 private:
  struct Frame {
    std::string name;
    std::vector<Sizes> inputs;
    detail::ReceptiveFields::Operation operation;
    const Module* owner = nullptr;   ///< of a weight among the arguments
    const Module* module = nullptr;  ///< whose call this is
    std::vector<Sizes> module_inputs;
    bool transposed = false;
    bool first = false;   ///< the outermost operator that counts
    bool counts = false;  ///< it is one, or within one
  };

  static bool counted(const std::string& name) {
    return name == "aten::convolution" || name == "aten::mm" || name == "aten::addmm" ||
           name == "aten::bmm" || name == "aten::baddbmm" || is_fused_attention(name);
  }

  void add(const Module& module) {
    const auto [place, added] = modules_.emplace(&module, Seen());
    if (!added) return;
    place->second.type = detail::python_name(module.name());
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

  /// The innermost module of the network that runs.
  const Module* scope() const {
    for (const Running* running = Running::innermost; running != nullptr;
         running = running->outer) {
      if (modules_.contains(&running->module)) return &running->module;
    }
    return &root_;
  }

  /// The module whose call an operator is, where no holder of ours has told of it.
  void find_module(Frame& frame, const std::vector<torch::Tensor>& tensors) {
    const Module* const inside = scope();
    const Module* module = frame.owner;
    if (module != nullptr && module != inside) {
      // A weight alone is turned about, not applied; the bias of a matrix product comes after it.
      const bool applied = std::any_of(tensors.begin(), tensors.end(), [&](const auto& tensor) {
        return tensor.has_storage() && !owners_.contains(tensor.storage().unsafeGetStorageImpl());
      });
      if (!applied || modules_.at(module).observed || frame.name.starts_with("aten::add_")) return;
    } else if (module == nullptr) {
      module = unused_of(*inside, frame.name);
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

  /// Of the modules in `inside`, the next one of the operator's type; else the first one again.
  /// Also in children whose calls nobody tells of: an encoder that is asked for its features.
  const Module* unused_of(const Module& inside, const std::string& name) const {
    const Module* again = nullptr;
    for (const auto& child : inside.named_children()) {
      const auto found = modules_.find(child.value().get());
      if (found == modules_.end() || found->second.observed) continue;
      const Module* const match =
          calls_operator(found->second.type, name) ? found->first : unused_of(*child.value(), name);
      if (match == nullptr) continue;
      if (modules_.at(match).calls == 0) return match;
      if (again == nullptr) again = match;
    }
    return again;
  }

  /// A call that has ended: one that throws is none.
  void add_call(Seen& seen, std::vector<Sizes> inputs,
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
  std::map<const Module*, Seen> modules_;
  std::map<const void*, const Module*> owners_;
  detail::OpenCalls<std::vector<Sizes>> open_;
  std::vector<Frame> frames_;  ///< of the operators that run, by their depth
  detail::ReceptiveFields fields_;
};

int64_t elements(const std::vector<torch::Tensor>& tensors) {
  std::set<const void*> seen;
  int64_t count = 0;
  for (const torch::Tensor& tensor : tensors) {
    if (tensor.defined() && seen.insert(tensor.unsafeGetTensorImpl()).second) {
      count += tensor.numel();
    }
  }
  return count;
}

int64_t add_rows(const Module& module, const std::string& path, int64_t depth,
                 const Collector& collector, std::set<const Module*>& done, Summary& summary) {
  const Seen& seen = collector.of(module);
  const std::size_t index = summary.rows.size();
  SummaryRow row;
  row.path = path;
  row.type = seen.type;
  row.depth = depth;
  row.input_sizes = seen.inputs;
  row.output_sizes = seen.outputs;
  row.receptive_field = seen.field;
  row.dtype = seen.dtype;
  row.calls = seen.calls;
  row.inferred = seen.inferred;
  std::vector<torch::Tensor> trainable = module.parameters();
  row.parameters = elements(trainable);
  std::erase_if(trainable, [](const auto& tensor) { return !tensor.requires_grad(); });
  row.trainable = elements(trainable);
  row.buffers = elements(module.buffers());
  const bool first = done.insert(&module).second;  // what stands here twice has run once for both
  row.macs = first ? seen.macs : 0;
  summary.rows.push_back(row);
  int64_t inside = 0;
  for (const auto& child : module.named_children()) {
    const std::string child_path = path.empty() ? child.key() : path + "." + child.key();
    const std::size_t place = summary.rows.size();
    inside += add_rows(*child.value(), child_path, depth + 1, collector, done, summary);
    summary.rows[index].macs += summary.rows[place].macs;
  }
  // A container's output is that of what is in it.
  summary.rows[index].activation_bytes = inside > 0 ? inside : first ? seen.output_bytes : 0;
  return summary.rows[index].activation_bytes;
}

Summary summarized(Module& module, const std::function<void()>& forward) {
  const torch::NoGradGuard no_grad;
  const detail::EvalMode eval(module);
  const detail::KeepBuffers buffers(module);
  const detail::KeepRandomState random;
  Collector collector(module);
  detail::observe_calls(collector, [&] { detail::observe_operators(collector, forward); });

  Summary summary;
  std::set<const Module*> done;
  summary.activation_bytes = add_rows(module, "", 0, collector, done, summary);
  const SummaryRow& whole = summary.rows.front();
  summary.parameters = whole.parameters;
  summary.trainable = whole.trainable;
  summary.buffers = whole.buffers;
  summary.macs = whole.macs;
  summary.input_bytes = collector.input_bytes;
  std::set<const void*> counted;
  for (const torch::Tensor& parameter : module.parameters()) {
    if (counted.insert(parameter.unsafeGetTensorImpl()).second) {
      summary.parameter_bytes += static_cast<int64_t>(parameter.nbytes());
    }
  }
  return summary;
}

}  // namespace

Summary summarize(Module& module, const torch::Tensor& input) {
  return summarized(module, [&] { forward_child(module, input.clone()); });
}

Summary summarize(Module& module, const std::function<void()>& forward) {
  return summarized(module, forward);
}

}  // namespace convkit

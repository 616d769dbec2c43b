#include "compile/engines/torch.h"

#include "compile/engines/torch_fused.h"
#include "compile/engines/transpose.h"
#include "core/strides.h"
#include "watch/operator_names.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace convkit::detail {

namespace {

/// [N, C, H, W] to channels_last or back.
torch::Tensor in_layout(const torch::Tensor& x, torch::MemoryFormat format) {
  const bool to_last = format == torch::MemoryFormat::ChannelsLast;
  const bool own = x.is_cpu() && x.dtype() == torch::kFloat32 && !x.is_contiguous(format) &&
                   transposes_on(at::get_num_threads()) &&
                   x.is_contiguous(to_last ? torch::MemoryFormat::Contiguous
                                           : torch::MemoryFormat::ChannelsLast);
  if (!own) return x.contiguous(format);
  const torch::Tensor y = at::empty_like(x, x.options(), format);
  const int64_t channels = x.size(1);
  const int64_t positions = x.size(2) * x.size(3);
  const int64_t rows = to_last ? channels : positions;
  transpose({x.size(0), rows, to_last ? positions : channels, rows}, x.const_data_ptr<float>(),
            y.mutable_data_ptr<float>());
  return y;
}

/// A result that is no image lies as the module's.
torch::Tensor as_recorded(const torch::Tensor& x, const std::vector<int64_t>& strides) {
  if (same_layout(x.sizes(), x.strides(), strides)) return x;
  return at::empty_strided(x.sizes(), dense_or_rows(x.sizes(), strides), x.options()).copy_(x);
}

class TorchEngine : public Engine {
 public:
  TorchEngine(Graph plan, const EngineOptions& options)
      : plan_(std::move(plan)),
        dtype_(plan_.exact ? torch::kFloat32 : options.dtype),
        exact_(plan_.exact),
        memory_format_(options.memory_format),
        last_uses_(plan_.last_uses()),
        wide_(plan_.steps.size(), false) {
    constants_.resize(plan_.values.size());
    for (std::size_t i = 0; i < constants_.size(); ++i) {
      const Value& value = plan_.values[i];
      if (value.kind == Value::Kind::kConstant) constants_[i] = value.tensor;
    }
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      Step& step = plan_.steps[i];
      if (dtype_ != torch::kFloat32) wide_[i] = is_wide(step);
      if (!wide_[i]) narrow_constants(step);
      auto* convolution = std::get_if<Convolution>(&step);
      const bool fuses = convolution != nullptr && !exact_;
      fused_.push_back(fuses ? fused_by_torch(plan_, *convolution) : nullptr);
    }
  }

  /// Computes once, to learn which operators LibTorch does not have in the plan's type.
  void try_out(const Tensors& inputs) {
    learns_ = dtype_ != torch::kFloat32;
    if (learns_) run(inputs, nullptr);
    learns_ = false;
  }

  Tensors run(const Tensors& inputs, const Watch* watch) override {
    std::vector<torch::Tensor> values = constants_;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const bool image = inputs[i].dim() == 4 && !exact_;
      values[i] = image ? in_layout(narrowed(inputs[i]), torch::MemoryFormat::ChannelsLast)
                        : narrowed(inputs[i]);
    }
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      run(i, values, watch);
      for (const int64_t id : last_uses_[i]) tensor_at(values, id) = torch::Tensor();
    }
    Tensors outputs;
    for (const int64_t id : plan_.outputs) {
      torch::Tensor output = tensor_at(values, id);
      if (output.is_floating_point()) output = output.to(plan_.value(id).dtype);
      if (memory_format_ && output.dim() == 4) output = in_layout(output, *memory_format_);
      if (output.dim() != 4) output = as_recorded(output, plan_.value(id).strides);
      outputs.push_back(shares_memory(output, inputs, outputs) ? output.clone() : output);
    }
    return outputs;
  }

  void explain(PlanExplanation& plan) const override {
    plan.engine =
        std::string("LibTorch's operators") + (exact_ ? ", with the module's own bits" : "");
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      StepExplanation& step = plan.steps.emplace_back(explained(plan_, plan_.steps[i], dtype_));
      step.by = "LibTorch";
      if (fused_[i]) step.how = "fused operator";
    }
  }

 private:
  /// Whether a step computes in the types that were recorded: where memory counts, and for operators that nobody
  /// knows in a narrow type, or that make large differences of its rounding.
  bool is_wide(const Step& step) const {
    if (std::holds_alternative<Copy>(step)) return plan_.is_raw(step);
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr) return false;
    const std::string name = plain_name(*operation);
    return plan_.is_raw(step) || !takes_any_layout(name) || !is_steady(name);
  }

  torch::Tensor narrowed(const torch::Tensor& tensor) const {
    const bool changes = tensor.defined() && tensor.scalar_type() == torch::kFloat32;
    return changes ? tensor.to(dtype_) : tensor;
  }

  /// Gives a step constants of the plan's type.
  void narrow_constants(Step& step) {
    if (dtype_ == torch::kFloat32) return;
    for_each_tensor(step, [&](torch::Tensor& tensor) { tensor = narrowed(tensor); });
    for_each_input(step, [&](int64_t& id) {
      if (id < 0 || !tensor_at(constants_, id).defined()) return;
      const torch::Tensor narrow = narrowed(tensor_at(constants_, id));
      if (narrow.is_same(tensor_at(constants_, id))) return;
      const Value value = plan_.value(id);
      id = static_cast<int64_t>(plan_.values.size());
      plan_.values.push_back(value);
      constants_.push_back(narrow);
    });
  }

  void run(std::size_t i, std::vector<torch::Tensor>& values, const Watch* watch) {
    const Step& step = plan_.steps[i];
    if (dtype_ != torch::kFloat32) convert_inputs(i, values);
    const auto* operation = std::get_if<Operation>(&step);
    if (watch != nullptr && operation != nullptr) (*watch)(*operation, values);
    if (fused_[i]) return fused_[i](values);
    if (!learns_ || wide_[i]) return run_step(step, values);
    try {
      run_step(step, values);
    } catch (const c10::Error&) {
      wide_[i] = true;
      convert_inputs(i, values);
      run_step(step, values);
    }
  }

  /// Gives a step its inputs in the type that it computes in. Memory that counts has always the recorded one.
  void convert_inputs(std::size_t i, std::vector<torch::Tensor>& values) const {
    for (const int64_t id : inputs_of(plan_.steps[i])) {
      torch::Tensor& tensor = tensor_at(values, id);
      const bool was_float = plan_.value(id).dtype == torch::kFloat32 && plan_.is_pure(id);
      if (was_float) tensor = wide_[i] ? tensor.to(torch::kFloat32) : narrowed(tensor);
    }
  }

  bool shares_memory(const torch::Tensor& output, const Tensors& inputs,
                     const Tensors& outputs) const {
    const auto shares = [&](const torch::Tensor& other) {
      return other.defined() && output.is_alias_of(other);
    };
    return std::any_of(inputs.begin(), inputs.end(), shares) ||
           std::any_of(outputs.begin(), outputs.end(), shares) ||
           std::any_of(constants_.begin(), constants_.end(), shares);
  }

  Graph plan_;
  torch::Dtype dtype_;
  bool exact_;
  std::optional<torch::MemoryFormat> memory_format_;
  std::vector<std::vector<int64_t>> last_uses_;
  std::vector<torch::Tensor> constants_;
  std::vector<FusedConvolution> fused_;
  std::vector<bool> wide_;  ///< steps that compute in the types that were recorded
  bool learns_ = false;
};

}  // namespace

std::unique_ptr<Engine> make_torch_engine(Graph plan, const Tensors& example,
                                          const EngineOptions& options) {
  const torch::NoGradGuard no_grad;
  auto engine = std::make_unique<TorchEngine>(std::move(plan), options);
  engine->try_out(example);
  return engine;
}

}  // namespace convkit::detail

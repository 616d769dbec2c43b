#include "compile/engines/torch.h"

#include "compile/engines/torch_fused.h"
#include "compile/engines/transpose.h"
#include "core/strides.h"

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

class TorchEngine : public Engine {
 public:
  TorchEngine(Graph plan, const EngineOptions& options)
      : plan_(std::move(plan)),
        dtype_(options.dtype),
        exact_(plan_.exact),
        memory_format_(options.memory_format),
        last_uses_(plan_.last_uses()) {
    constants_.resize(plan_.values.size());
    for (std::size_t i = 0; i < constants_.size(); ++i) {
      const Value& value = plan_.values[i];
      if (value.kind == Value::Kind::kConstant) constants_[i] = converted(value.tensor);
    }
    for (Step& step : plan_.steps) {
      raw_.push_back(!exact_ && plan_.is_raw(step));
      auto& fused = fused_.emplace_back();
      for_each_weight(step, [&](torch::Tensor& weight) { weight = converted(weight); });
      const auto* convolution = std::get_if<Convolution>(&step);
      if (convolution != nullptr && !exact_) fused = fused_by_torch(plan_, *convolution);
    }
  }

  Tensors run(const Tensors& inputs) override {
    std::vector<torch::Tensor> values = constants_;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const bool image = inputs[i].dim() == 4 && !exact_;
      values[i] = converted(inputs[i]);
      if (image) values[i] = in_layout(values[i], torch::MemoryFormat::ChannelsLast);
    }
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      if (fused_[i]) {
        fused_[i](values);
      } else {
        if (raw_[i]) lay_out_as_recorded(plan_.steps[i], values);
        run_step(plan_.steps[i], values);
      }
      for (const int64_t id : last_uses_[i]) tensor_at(values, id) = torch::Tensor();
    }
    Tensors outputs;
    for (const int64_t id : plan_.outputs) {
      torch::Tensor output = tensor_at(values, id);
      if (output.is_floating_point()) {
        output = output.to(plan_.value(id).dtype);
      }
      if (memory_format_ && output.dim() == 4) output = in_layout(output, *memory_format_);
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
  torch::Tensor converted(const torch::Tensor& tensor) const {
    const bool changes = tensor.defined() && !exact_ && tensor.scalar_type() == torch::kFloat32 &&
                         dtype_ != torch::kFloat32;
    return changes ? tensor.to(dtype_) : tensor;
  }

  void lay_out_as_recorded(const Step& step, std::vector<torch::Tensor>& values) const {
    for (const int64_t id : inputs_of(step)) {
      const Value& value = plan_.value(id);
      torch::Tensor& tensor = tensor_at(values, id);
      const bool own = !plan_.is_pure(id) || value.kind == Value::Kind::kConstant;
      if (own || tensor.strides() == value.strides) continue;
      const auto layout = dense_or_rows(value.sizes, value.strides);
      tensor = at::empty_strided(value.sizes, layout, tensor.options()).copy_(tensor);
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
  std::vector<bool> raw_;  ///< steps whose inputs have to lie as they were recorded
};

}  // namespace

std::unique_ptr<Engine> make_torch_engine(Graph plan, const EngineOptions& options) {
  const torch::NoGradGuard no_grad;
  return std::make_unique<TorchEngine>(std::move(plan), options);
}

}  // namespace convkit::detail

#include "compile/engines/engine.h"
#include "compile/engines/transpose.h"
#include "core/strides.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <sstream>

namespace convkit::detail {

namespace {

torch::Tensor& at(std::vector<torch::Tensor>& values, int64_t id) {
  return values.at(static_cast<std::size_t>(id));
}

using Scalars = c10::List<std::optional<at::Scalar>>;

/// What LibTorch's fused convolutions call an activation.
struct FusedActivation {
  std::string name = "none";
  Scalars scalars;
  std::optional<std::string> algorithm;
};

std::optional<FusedActivation> fused_activation(const std::optional<Operation>& operation) {
  FusedActivation result;
  if (!operation) return result;
  const std::string name = plain_name(*operation);
  const auto& arguments = operation->arguments;
  if (name == "relu" || name == "sigmoid" || name == "tanh" || name == "hardswish") {
    result.name = name;
  } else if (name == "silu") {
    result.name = "swish";
  } else if (name == "gelu") {
    result.name = name;
    result.algorithm = arguments[1].constant.toStringRef();
  } else if (name == "leaky_relu") {
    result.name = name;
    result.scalars.push_back(arguments[1].constant.toScalar());
  } else if (name == "relu6") {
    result.name = "hardtanh";
    result.scalars.push_back(at::Scalar(0.0));
    result.scalars.push_back(at::Scalar(6.0));
  } else if (name == "hardtanh") {
    result.name = "hardtanh";
    for (std::size_t i = 1; i < 3; ++i) result.scalars.push_back(arguments[i].constant.toScalar());
  } else {
    return std::nullopt;
  }
  return result;
}

bool has_operators() {
  auto& dispatcher = c10::Dispatcher::singleton();
  static const bool has = dispatcher.findSchema({"mkldnn::_convolution_pointwise", ""}) &&
                          dispatcher.findSchema({"mkldnn::_convolution_pointwise", "binary"}) &&
                          dispatcher.findSchema({"mkldnn::_reorder_convolution_weight", ""});
  return has;
}

torch::Tensor call_boxed(const char* name, const char* overload, torch::jit::Stack stack) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).callBoxed(stack);
  return stack.at(0).toTensor();
}

/// Runs a convolution; nothing for one that LibTorch has no fused operator for.
using Fused = std::function<void(std::vector<torch::Tensor>&)>;

constexpr auto kChannelsLast = torch::MemoryFormat::ChannelsLast;

c10::IValue optional(const torch::Tensor& tensor) {
  return tensor.defined() ? c10::IValue(tensor) : c10::IValue();
}

/// By oneDNN, with the weight in its own layout.
Fused fused_on_cpu(const Convolution& c, const std::vector<int64_t>& sizes,
                   const std::vector<int64_t>& output) {
  const auto activation = fused_activation(c.activation);
  if (!has_operators() || c.linear || c.transposed || !activation) return nullptr;
  // After an addition they have relu alone.
  if (c.added >= 0 && c.activation && activation->name != "relu") return nullptr;
  // LibTorch's fused operators cost about 18 us a call, its own convolutions of small images less.
  const int64_t positions = output[0] * output[2] * output[3];
  if (positions * c.weight.numel() < 250'000) return nullptr;
  torch::Tensor weight;
  try {
    weight = call_boxed(
        "mkldnn::_reorder_convolution_weight", "",
        {c.weight.contiguous(kChannelsLast), c.padding, c.stride, c.dilation, c.groups, sizes});
  } catch (const c10::Error&) {
    return nullptr;  // bfloat16, on a processor that has no instructions for it
  }
  const c10::IValue bias = optional(c.bias);
  if (c.added < 0) {
    const c10::IValue algorithm =
        activation->algorithm ? c10::IValue(*activation->algorithm) : c10::IValue();
    return [=](std::vector<torch::Tensor>& values) {
      at(values, c.output) = call_boxed(
          "mkldnn::_convolution_pointwise", "",
          {at(values, c.input).contiguous(kChannelsLast), weight, bias, c.padding, c.stride,
           c.dilation, c.groups, activation->name, activation->scalars, algorithm});
    };
  }
  const c10::IValue unary = c.activation ? c10::IValue(activation->name) : c10::IValue();
  return [=](std::vector<torch::Tensor>& values) {
    at(values, c.output) = call_boxed(
        "mkldnn::_convolution_pointwise", "binary",
        {at(values, c.input).contiguous(kChannelsLast),
         at(values, c.added).contiguous(kChannelsLast), weight, bias, c.padding, c.stride,
         c.dilation, c.groups, std::string("add"), c10::IValue(), unary, Scalars(), c10::IValue()});
  };
}

/// By cuDNN, which has relu alone, also after an addition.
Fused fused_on_cuda(const Convolution& c, const std::vector<int64_t>& sizes,
                    const std::vector<int64_t>& output) {
  const bool relu = c.activation && plain_name(*c.activation) == "relu";
  if (!at::globalContext().hasCuDNN() || c.linear || c.transposed || !relu) return nullptr;
  const torch::Tensor weight = c.weight.contiguous(kChannelsLast);
  const c10::IValue bias = optional(c.bias);
  const Fused run = [=](std::vector<torch::Tensor>& values) {
    const torch::Tensor x = at(values, c.input).contiguous(kChannelsLast);
    at(values, c.output) =
        c.added < 0 ? call_boxed("aten::cudnn_convolution_relu", "",
                                 {x, weight, bias, c.stride, c.padding, c.dilation, c.groups})
                    : call_boxed("aten::cudnn_convolution_add_relu", "",
                                 {x, weight, at(values, c.added).contiguous(kChannelsLast),
                                  at::Scalar(1), bias, c.stride, c.padding, c.dilation, c.groups});
  };
  try {  // not for every size and type, and it alone knows for which
    std::vector<torch::Tensor> values(
        static_cast<std::size_t>(std::max({c.input, c.added, c.output})) + 1);
    at(values, c.input) = at::zeros(sizes, weight.options());
    if (c.added >= 0) at(values, c.added) = at::zeros(output, weight.options());
    run(values);
  } catch (const c10::Error&) {
    return nullptr;
  }
  return run;
}

/// [N, C, H, W] to channels_last or back.
torch::Tensor in_layout(const torch::Tensor& x, torch::MemoryFormat format) {
  const bool to_last = format == kChannelsLast;
  const bool own = x.is_cpu() && x.dtype() == torch::kFloat32 && !x.is_contiguous(format) &&
                   transposes_on(at::get_num_threads()) &&
                   x.is_contiguous(to_last ? torch::MemoryFormat::Contiguous : kChannelsLast);
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
  TorchEngine(Plan plan, const EngineOptions& options)
      : plan_(std::move(plan)),
        dtype_(options.dtype),
        exact_(plan_.exact),
        memory_format_(options.memory_format),
        last_uses_(last_uses(plan_)) {
    constants_.resize(plan_.values.size());
    for (std::size_t i = 0; i < constants_.size(); ++i) {
      const Value& value = plan_.values[i];
      if (value.kind == Value::Kind::kConstant) constants_[i] = converted(value.tensor);
    }
    for (Step& step : plan_.steps) {
      raw_.push_back(!exact_ && is_raw(plan_, step));
      auto& fused = fused_.emplace_back();
      if (auto* convolution = std::get_if<Convolution>(&step)) {
        convolution->weight = converted(convolution->weight);
        convolution->bias = converted(convolution->bias);
        const auto make = convolution->weight.is_cuda() ? fused_on_cuda : fused_on_cpu;
        if (!exact_) {
          fused = make(*convolution, sizes(convolution->input), sizes(convolution->output));
        }
      } else if (auto* norm = std::get_if<ChannelNorm>(&step)) {
        norm->weight = converted(norm->weight);
        norm->bias = converted(norm->bias);
      }
    }
  }

  Tensors run(const Tensors& inputs) override {
    std::vector<torch::Tensor> values = constants_;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const bool image = inputs[i].dim() == 4 && !exact_;
      values[i] = converted(inputs[i]);
      if (image) values[i] = in_layout(values[i], kChannelsLast);
    }
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      if (fused_[i]) {
        fused_[i](values);
      } else {
        if (raw_[i]) lay_out_as_recorded(plan_.steps[i], values);
        run_step(plan_.steps[i], values);
      }
      for (const int64_t id : last_uses_[i]) at(values, id) = torch::Tensor();
    }
    Tensors outputs;
    for (const int64_t id : plan_.outputs) {
      torch::Tensor output = at(values, id);
      if (output.is_floating_point()) {
        output = output.to(plan_.values.at(static_cast<std::size_t>(id)).dtype);
      }
      if (memory_format_ && output.dim() == 4) output = in_layout(output, *memory_format_);
      outputs.push_back(shares_memory(output, inputs, outputs) ? output.clone() : output);
    }
    return outputs;
  }

  std::string text() const override {
    std::ostringstream text;
    text << "engine: LibTorch's operators" << (exact_ ? ", with the module's own bits" : "")
         << '\n';
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      text << "  " << describe(plan_.steps[i]) << (fused_[i] ? "  (fused operator)" : "") << '\n';
    }
    return text.str();
  }

 private:
  torch::Tensor converted(const torch::Tensor& tensor) const {
    const bool changes = tensor.defined() && !exact_ && tensor.scalar_type() == torch::kFloat32 &&
                         dtype_ != torch::kFloat32;
    return changes ? tensor.to(dtype_) : tensor;
  }

  const std::vector<int64_t>& sizes(int64_t id) const {
    return plan_.values.at(static_cast<std::size_t>(id)).sizes;
  }

  void lay_out_as_recorded(const Step& step, std::vector<torch::Tensor>& values) const {
    for (const int64_t id : inputs_of(step)) {
      const Value& value = plan_.values.at(static_cast<std::size_t>(id));
      torch::Tensor& tensor = at(values, id);
      const bool own = plan_.overwritten.contains(id) || value.kind == Value::Kind::kConstant;
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

  Plan plan_;
  torch::Dtype dtype_;
  bool exact_;
  std::optional<torch::MemoryFormat> memory_format_;
  std::vector<std::vector<int64_t>> last_uses_;
  std::vector<torch::Tensor> constants_;
  std::vector<Fused> fused_;
  std::vector<bool> raw_;
};

}  // namespace

Engine::~Engine() = default;

void run_step(const Step& step, std::vector<torch::Tensor>& values) {
  if (const auto* operation = std::get_if<Operation>(&step)) {
    call(*operation, values);
  } else if (const auto* convolution = std::get_if<Convolution>(&step)) {
    const Convolution& c = *convolution;
    const torch::Tensor& x = at(values, c.input);
    torch::Tensor y =
        c.linear       ? at::linear(x, c.weight, c.bias)
        : c.transposed ? at::conv_transpose2d(x, c.weight, c.bias, c.stride, c.padding,
                                              c.output_padding, c.groups, c.dilation)
                       : at::conv2d(x, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups);
    if (c.added >= 0) y.add_(at(values, c.added));
    at(values, c.output) = std::move(y);
    if (c.activation) call(*c.activation, values);
  } else {
    const auto& norm = std::get<ChannelNorm>(step);
    const torch::Tensor x = at(values, norm.input).permute({0, 2, 3, 1});
    at(values, norm.output) =
        at::layer_norm(x, {x.size(3)}, norm.weight, norm.bias, norm.eps).permute({0, 3, 1, 2});
  }
}

std::vector<std::vector<int64_t>> last_uses(const Plan& plan) {
  std::vector<std::vector<int64_t>> result(plan.steps.size());
  std::set<int64_t> seen(plan.outputs.begin(), plan.outputs.end());
  for (std::size_t i = plan.steps.size(); i-- > 0;) {
    const auto see = [&](int64_t id) {
      const Value& value = plan.values.at(static_cast<std::size_t>(id));
      if (value.kind != Value::Kind::kConstant && seen.insert(id).second) result[i].push_back(id);
    };
    for (const int64_t id : inputs_of(plan.steps[i])) see(id);
    for (const int64_t id : outputs_of(plan.steps[i])) see(id);  // a result that nothing uses
  }
  return result;
}

std::unique_ptr<Engine> make_torch_engine(Plan plan, const EngineOptions& options) {
  const torch::NoGradGuard no_grad;
  return std::make_unique<TorchEngine>(std::move(plan), options);
}

}  // namespace convkit::detail

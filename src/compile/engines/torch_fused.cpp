#include "compile/engines/torch_fused.h"

#include "compile/engines/engine.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace convkit::detail {

namespace {

using Scalars = c10::List<std::optional<at::Scalar>>;

/// An activation as LibTorch's fused convolutions name it.
struct FusedActivation {
  std::string name = "none";
  Scalars scalars;
  std::optional<std::string> algorithm;
};

/// Nothing for activations that they do not have. What becomes 0 of NaN there, as a ReLU and a clamp do,
/// is none of them: LibTorch's own operator follows then, in place.
std::optional<FusedActivation> fused_activation(const Operation& operation) {
  FusedActivation result;
  const std::string name = plain_name(operation);
  const auto& arguments = operation.arguments;
  if (name == "sigmoid" || name == "tanh" || name == "hardswish") {
    result.name = name;
  } else if (name == "silu") {
    result.name = "swish";
  } else if (name == "gelu") {
    result.name = name;
    result.algorithm = arguments[1].constant.toStringRef();
  } else if (name == "leaky_relu" && arguments[1].constant.toScalar().toDouble() != 0) {
    result.name = name;
    result.scalars.push_back(arguments[1].constant.toScalar());
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

constexpr auto kChannelsLast = torch::MemoryFormat::ChannelsLast;

c10::IValue optional(const torch::Tensor& tensor) {
  return tensor.defined() ? c10::IValue(tensor) : c10::IValue();
}

/// Sizes with a convolution's padding, which it then has no more, if it is another one after the image.
std::vector<int64_t> padded_sizes(Convolution& c, std::vector<int64_t> sizes) {
  if (!is_lopsided(c)) return sizes;
  const auto after = padding_after(c);
  for (std::size_t i = 0; i < 2; ++i) sizes[2 + i] += c.padding[i] + after[i];
  c.padding = c.extra_padding = {0, 0};
  return sizes;
}

/// LibTorch's fused operator of oneDNN, with the weight in oneDNN's own layout.
FusedConvolution fused_on_cpu(const Convolution& given, const std::vector<int64_t>& input,
                              const std::vector<int64_t>& output) {
  if (!has_operators() || given.linear || given.transposed) return nullptr;
  // LibTorch's fused operators cost about 18 us a call, its own convolutions of small images less.
  const int64_t positions = output[0] * output[2] * output[3];
  if (positions * given.weight.numel() < 250'000) return nullptr;
  Convolution c = given;
  const auto sizes = padded_sizes(c, input);
  torch::Tensor weight;
  try {
    weight = call_boxed(
        "mkldnn::_reorder_convolution_weight", "",
        {c.weight.contiguous(kChannelsLast), c.padding, c.stride, c.dilation, c.groups, sizes});
  } catch (const c10::Error&) {
    return nullptr;  // bfloat16, on a processor that has no instructions for it
  }
  // After an addition they have none but relu.
  const auto fused = c.activation && c.added < 0 ? fused_activation(*c.activation) : std::nullopt;
  const FusedActivation activation = fused.value_or(FusedActivation());
  const c10::IValue bias = optional(c.bias);
  const c10::IValue algorithm =
      activation.algorithm ? c10::IValue(*activation.algorithm) : c10::IValue();
  const bool pads = is_lopsided(given);
  const bool activates = c.activation && !fused;
  return [=](std::vector<torch::Tensor>& values) {
    const torch::Tensor& given_x = tensor_at(values, c.input);
    const torch::Tensor x = (pads ? padded(given, given_x) : given_x).contiguous(kChannelsLast);
    tensor_at(values, c.output) =
        c.added < 0
            ? call_boxed("mkldnn::_convolution_pointwise", "",
                         {x, weight, bias, c.padding, c.stride, c.dilation, c.groups,
                          activation.name, activation.scalars, algorithm})
            : call_boxed("mkldnn::_convolution_pointwise", "binary",
                         {x, tensor_at(values, c.added).contiguous(kChannelsLast), weight, bias,
                          c.padding, c.stride, c.dilation, c.groups, std::string("add"),
                          c10::IValue(), c10::IValue(), Scalars(), c10::IValue()});
    if (activates) call(*c.activation, values);
    scale_and_shift(c, values);
  };
}

/// LibTorch's fused operator of cuDNN, which knows relu alone, also after an addition.
FusedConvolution fused_on_cuda(const Convolution& c, const std::vector<int64_t>& sizes,
                               const std::vector<int64_t>& output) {
  const bool relu = c.activation && plain_name(*c.activation) == "relu";
  if (!at::globalContext().hasCuDNN() || c.linear || c.transposed || !relu || is_lopsided(c)) {
    return nullptr;
  }
  const torch::Tensor weight = c.weight.contiguous(kChannelsLast);
  const c10::IValue bias = optional(c.bias);
  const FusedConvolution run = [=](std::vector<torch::Tensor>& values) {
    const torch::Tensor x = tensor_at(values, c.input).contiguous(kChannelsLast);
    tensor_at(values, c.output) =
        c.added < 0 ? call_boxed("aten::cudnn_convolution_relu", "",
                                 {x, weight, bias, c.stride, c.padding, c.dilation, c.groups})
                    : call_boxed("aten::cudnn_convolution_add_relu", "",
                                 {x, weight, tensor_at(values, c.added).contiguous(kChannelsLast),
                                  at::Scalar(1), bias, c.stride, c.padding, c.dilation, c.groups});
    scale_and_shift(c, values);
  };
  try {  // not for every size and type, and it alone knows for which
    std::vector<torch::Tensor> values(
        static_cast<std::size_t>(std::max({c.input, c.added, c.output})) + 1);
    tensor_at(values, c.input) = at::zeros(sizes, weight.options());
    if (c.added >= 0) tensor_at(values, c.added) = at::zeros(output, weight.options());
    run(values);
  } catch (const c10::Error&) {
    return nullptr;
  }
  return run;
}

}  // namespace

FusedConvolution fused_by_torch(const Graph& plan, const Convolution& convolution) {
  const auto& sizes = plan.value(convolution.input).sizes;
  const auto& output = plan.value(convolution.output).sizes;
  return convolution.weight.is_cuda() ? fused_on_cuda(convolution, sizes, output)
                                      : fused_on_cpu(convolution, sizes, output);
}

}  // namespace convkit::detail

#include "compile/plan/step_macs.h"

#include "core/strides.h"
#include "summary/macs.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace convkit::detail {

namespace {

/// The formula for an operator; a tape has those too that call others, such as linear().
MacRule rule_of(const Operation& operation) {
  constexpr std::array<std::string_view, 7> kConvolutions{
      "conv1d",           "conv2d",           "conv3d",      "conv_transpose1d",
      "conv_transpose2d", "conv_transpose3d", "_convolution"};
  const std::string name = plain_name(operation);
  if (std::ranges::count(kConvolutions, name) > 0) return MacRule::kConvolution;
  if (name == "linear" || name == "matmul") return MacRule::kProduct;
  if (name == "scaled_dot_product_attention") return MacRule::kAttention;
  return mac_rule_of(operation.name());
}

int64_t macs_of(const Graph& graph, const Operation& operation) {
  MacCall call;
  call.rule = rule_of(operation);
  if (call.rule == MacRule::kNone || operation.outputs.empty() || operation.outputs[0] < 0)
    return 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, operation.arguments.size()); ++i) {
    const int64_t id = tensor_argument(operation, i);
    if (id >= 0) call.inputs.push_back(graph.value(id).sizes);
  }
  if (call.rule == MacRule::kProduct) call.inputs.resize(2);  // without a linear layer's bias
  const bool scalar =
      std::ranges::any_of(call.inputs, [](const auto& sizes) { return sizes.empty(); });
  if (scalar) return 0;
  const std::string name = plain_name(operation);
  const auto& arguments = operation.arguments;
  call.transposed = name.starts_with("conv_transpose") ||
                    (name.ends_with("convolution") && arguments.size() > 6 &&
                     arguments[6].constant.isBool() && arguments[6].constant.toBool());
  if (call.rule == MacRule::kAttention && call.inputs[0].size() != 4) return 0;
  return macs_of(call, graph.value(operation.outputs[0]).sizes);
}

}  // namespace

int64_t macs_of(const Convolution& convolution, c10::IntArrayRef output) {
  const torch::Tensor& weight = convolution.weight;
  if (convolution.linear) return element_count(output) * weight.size(1);
  if (!convolution.transposed) return element_count(output) * weight[0].numel();
  int64_t places = output[0];  // of the input, each of which is multiplied with all weights
  for (std::size_t i = 0; i < 2; ++i) {
    const int64_t reach = convolution.dilation[i] * (weight.size(static_cast<int64_t>(i) + 2) - 1);
    const int64_t last = output[i + 2] - 1 - reach - convolution.output_padding[i];
    places *= (last + 2 * convolution.padding[i]) / convolution.stride[i] + 1;
  }
  return places * weight.numel();
}

int64_t macs_of(const Graph& graph, const Step& step) {
  if (const auto* operation = std::get_if<Operation>(&step)) return macs_of(graph, *operation);
  const auto* convolution = std::get_if<Convolution>(&step);
  if (convolution == nullptr) return 0;
  return macs_of(*convolution, graph.value(convolution->output).sizes);
}

}  // namespace convkit::detail

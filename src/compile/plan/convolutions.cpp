#include "compile/plan/convolutions.h"

namespace convkit::detail {

namespace {

/// "same" has the odd row or column of zeros after the image.
void set_padding(Convolution& convolution, const Argument& padding) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (!padding.constant.isString()) {
      convolution.padding[i] = number_at(padding, i);
    } else if (padding.constant.toStringRef() == "same") {
      const int64_t kernel = convolution.weight.size(2 + static_cast<int64_t>(i));
      const int64_t total = convolution.dilation[i] * (kernel - 1);
      convolution.padding[i] = total / 2;
      convolution.extra_padding[i] = total % 2;
    }
  }
}

/// Where the operators that are convolutions have their arguments, after the padding.
struct Places {
  std::size_t dilation;
  std::size_t groups;
  std::size_t output_padding;  ///< 0 for none
};

std::optional<Places> places_of(const std::string& name) {
  if (name == "conv2d") return Places{5, 6, 0};
  if (name == "conv_transpose2d") return Places{7, 6, 5};
  return name == "convolution" ? std::optional(Places{5, 8, 7}) : std::nullopt;
}

std::optional<Convolution> convolution_of(const Graph& graph, const Operation& operation,
                                          const Places& places) {
  const auto& arguments = operation.arguments;
  const int64_t input = tensor_argument(operation, 0);
  const int64_t weight = tensor_argument(operation, 1);
  const int64_t bias = tensor_argument(operation, 2);
  if (graph.value(input).sizes.size() != 4 || !graph.is_constant(weight)) return std::nullopt;
  if (bias >= 0 && !graph.is_constant(bias)) return std::nullopt;
  const std::string name = plain_name(operation);
  Convolution result;
  result.input = input;
  result.weight = graph.value(weight).tensor;
  if (bias >= 0) result.bias = graph.value(bias).tensor;
  result.transposed =
      name == "conv_transpose2d" || (name == "convolution" && arguments[6].constant.toBool());
  result.groups = arguments[places.groups].constant.toInt();
  for (std::size_t i = 0; i < 2; ++i) {
    result.stride[i] = number_at(arguments[3], i);
    result.dilation[i] = number_at(arguments[places.dilation], i);
    if (result.transposed) {
      result.output_padding[i] = number_at(arguments[places.output_padding], i);
    }
  }
  set_padding(result, arguments[4]);
  return result;
}

/// The arguments of the operators that a linear layer can be.
struct LinearArguments {
  int64_t input = -1;
  int64_t weight = -1;
  int64_t bias = -1;
  bool transposed = true;  ///< the weight is [in, out]
};

std::optional<LinearArguments> linear_arguments(const Operation& operation) {
  const std::string name = plain_name(operation);
  const auto tensor = [&](std::size_t i) { return tensor_argument(operation, i); };
  if (name == "linear") return LinearArguments{tensor(0), tensor(1), tensor(2), false};
  if (name == "matmul" || name == "mm") return LinearArguments{tensor(0), tensor(1)};
  if (name != "addmm" || !is_one(operation.arguments[3]) || !is_one(operation.arguments[4])) {
    return std::nullopt;
  }
  return LinearArguments{tensor(1), tensor(2), tensor(0)};
}

std::optional<Convolution> linear_of(const Graph& graph, const Operation& operation) {
  const auto found = linear_arguments(operation);
  if (!found || !graph.is_constant(found->weight) || graph.is_constant(found->input) ||
      graph.value(found->weight).sizes.size() != 2 || graph.value(found->input).sizes.size() < 2) {
    return std::nullopt;
  }
  Convolution result;
  result.linear = true;
  result.input = found->input;
  result.weight = graph.value(found->weight).tensor;
  if (found->transposed) result.weight = result.weight.t();
  if (found->bias >= 0) {
    const bool of_channels =
        graph.is_constant(found->bias) &&
        graph.value(found->bias).sizes == std::vector<int64_t>{result.weight.size(0)};
    if (!of_channels) return std::nullopt;
    result.bias = graph.value(found->bias).tensor;
  }
  return result;
}

std::optional<Convolution> found_in(const Graph& graph, const Operation& operation) {
  const std::string name = plain_name(operation);
  if (const auto places = places_of(name)) return convolution_of(graph, operation, *places);
  const bool linear = name == "linear" || name == "addmm" || name == "matmul" || name == "mm";
  return linear ? linear_of(graph, operation) : std::nullopt;
}

}  // namespace

void find_convolutions(Graph& graph) {
  for (Step& step : graph.steps) {
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr || operation->outputs.size() != 1 || operation->outputs[0] < 0 ||
        !graph.is_pure(operation->outputs[0])) {
      continue;
    }
    std::optional<Convolution> found = found_in(graph, *operation);
    if (!found || graph.value(found->input).dtype != torch::kFloat32 ||
        found->weight.scalar_type() != torch::kFloat32 || !graph.is_pure(found->input)) {
      continue;
    }
    found->output = operation->outputs[0];
    step = std::move(*found);
  }
}

}  // namespace convkit::detail

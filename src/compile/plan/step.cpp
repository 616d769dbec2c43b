#include "compile/plan/step.h"

#include "watch/operator_names.h"

namespace convkit::detail {

std::vector<int64_t> inputs_of(const Step& step) {
  std::vector<int64_t> result;
  if (const auto* operation = std::get_if<Operation>(&step)) {
    for (const Argument& argument : operation->arguments) {
      for (const int64_t id : argument.values) {
        if (id >= 0) result.push_back(id);
      }
    }
  } else if (const auto* convolution = std::get_if<Convolution>(&step)) {
    result.push_back(convolution->input);
    if (convolution->added >= 0) result.push_back(convolution->added);
  } else if (const auto* norm = std::get_if<ChannelNorm>(&step)) {
    result.push_back(norm->input);
  } else {
    result.push_back(std::get<Copy>(step).input);
  }
  return result;
}

std::vector<int64_t> outputs_of(const Step& step) {
  if (const auto* operation = std::get_if<Operation>(&step)) {
    std::vector<int64_t> result;
    for (const int64_t id : operation->outputs) {
      if (id >= 0) result.push_back(id);
    }
    return result;
  }
  if (const auto* convolution = std::get_if<Convolution>(&step)) return {convolution->output};
  if (const auto* norm = std::get_if<ChannelNorm>(&step)) return {norm->output};
  return {std::get<Copy>(step).output};
}

int64_t first_input(const Step& step) {
  const auto* operation = std::get_if<Operation>(&step);
  return operation == nullptr ? inputs_of(step).front() : tensor_argument(*operation, 0);
}

int64_t tensor_argument(const Operation& operation, std::size_t i) {
  const auto& arguments = operation.arguments;
  const bool has = arguments.size() > i && arguments[i].kind == Argument::Kind::kTensor;
  return has ? arguments[i].values.at(0) : -1;
}

int64_t number_at(const Argument& argument, std::size_t i, int64_t otherwise) {
  if (argument.constant.isInt()) return argument.constant.toInt();
  const std::vector<int64_t> numbers = argument.constant.toIntVector();
  if (numbers.empty()) return otherwise;
  return numbers.size() == 1 ? numbers[0] : numbers.at(i);
}

bool is_one(const Argument& argument) {
  return argument.constant.isScalar() && argument.constant.toScalar().toDouble() == 1;
}

std::string plain_name(const Operation& operation) {
  const std::string& name = operation.name();
  return name.starts_with("aten::") ? plain_name(name) : name;
}

bool is_activation(const Operation& operation) {
  const std::string& overload = operation.handle.operator_name().overload_name;
  return is_activation(plain_name(operation)) && overload.empty() && operation.outputs.size() == 1;
}

namespace {

std::string base_of(const Step& step) {
  if (const auto* operation = std::get_if<Operation>(&step)) return plain_name(*operation);
  if (std::holds_alternative<ChannelNorm>(step)) return "layer_norm of channels";
  if (std::holds_alternative<Copy>(step)) return "copy as it was recorded";
  const auto& convolution = std::get<Convolution>(step);
  if (convolution.linear) return "linear";
  std::string text = convolution.transposed ? "conv_transpose2d " : "conv2d ";
  text += c10::str(convolution.weight.size(2), "x", convolution.weight.size(3));
  if (convolution.stride[0] > 1) text += c10::str(" stride ", convolution.stride[0]);
  if (convolution.groups > 1) text += c10::str(" groups ", convolution.groups);
  return text;
}

}  // namespace

std::string describe(const Step& step) {
  std::string text = base_of(step);
  for (const std::string& name : fused_in(step)) text += " + " + name;
  return text;
}

std::vector<std::string> fused_in(const Step& step) {
  std::vector<std::string> names;
  if (const auto* convolution = std::get_if<Convolution>(&step)) {
    if (convolution->added >= 0) names.emplace_back("add");
    if (convolution->activation) names.push_back(plain_name(*convolution->activation));
  }
  return names;
}

}  // namespace convkit::detail

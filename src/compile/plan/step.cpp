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
    return result;
  }
  std::visit(
      [&](const auto& other) {
        if constexpr (requires { other.input; }) result.push_back(other.input);
        if constexpr (requires { other.added; }) {
          if (other.added >= 0) result.push_back(other.added);
        }
      },
      step);
  return result;
}

std::vector<int64_t> outputs_of(const Step& step) {
  std::vector<int64_t> result;
  if (const auto* operation = std::get_if<Operation>(&step)) {
    for (const int64_t id : operation->outputs) {
      if (id >= 0) result.push_back(id);
    }
    return result;
  }
  std::visit(
      [&](const auto& other) {
        if constexpr (requires { other.output; }) result.push_back(other.output);
      },
      step);
  return result;
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

int64_t channel_axis(const Convolution& convolution, std::size_t dims) {
  return convolution.linear ? static_cast<int64_t>(dims) - 1 : 1;
}

bool is_lopsided(const Convolution& convolution) {
  return convolution.extra_padding != std::vector<int64_t>{0, 0};
}

std::vector<int64_t> padding_after(const Convolution& convolution) {
  return {convolution.padding[0] + convolution.extra_padding[0],
          convolution.padding[1] + convolution.extra_padding[1]};
}

/// The number that LibTorch's _pad_enum has for it, after those of reflect, replicate and circular.
constexpr int64_t kConstantMode = 3;

std::optional<ConstantPadding> constant_padding_of(const Operation& operation) {
  const std::string name = plain_name(operation);
  const auto& arguments = operation.arguments;
  const c10::IValue* number = nullptr;
  if (name == "constant_pad_nd") {
    number = &arguments.at(2).constant;
  } else if (name == "pad" || name == "_pad_enum") {
    const c10::IValue& mode = arguments.at(2).constant;
    const bool constant =
        mode.isString() ? mode.toStringRef() == "constant" : mode.toInt() == kConstantMode;
    if (!constant) return std::nullopt;
    number = &arguments.at(3).constant;
  } else {
    return std::nullopt;
  }
  ConstantPadding result;
  if (number->isScalar()) result.number = number->toScalar().toDouble();
  // Two numbers for each dimension, the last one first.
  const std::vector<int64_t> list = arguments[1].constant.toIntVector();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] < 0 || (i >= 4 && list[i] != 0)) return std::nullopt;
    if (i < 4) (i % 2 == 0 ? result.before : result.after)[1 - i / 2] = list[i];
  }
  return result;
}

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " + ") + name;
  return text;
}

std::string base_of(const Step& step) {
  if (const auto* operation = std::get_if<Operation>(&step)) return plain_name(*operation);
  if (std::holds_alternative<ChannelNorm>(step)) return "layer_norm of channels";
  if (const auto* affine = std::get_if<Affine>(&step)) return joined(affine->operators);
  if (const auto* padded = std::get_if<PaddedPool>(&step)) return plain_name(padded->pool);
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
    if (convolution->slope.defined()) names.emplace_back("prelu");
    names.insert(names.end(), convolution->scaled_by.begin(), convolution->scaled_by.end());
  } else if (const auto* affine = std::get_if<Affine>(&step)) {
    if (affine->activation) names.push_back(plain_name(*affine->activation));
  } else if (const auto* padded = std::get_if<PaddedPool>(&step)) {
    names.push_back(plain_name(padded->pad));
  }
  return names;
}

}  // namespace convkit::detail

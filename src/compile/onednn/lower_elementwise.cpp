#include "compile/onednn/lower_elementwise.h"

#include "compile/engines/activations.h"
#include "compile/engines/transpose.h"
#include "compile/onednn/packed_weights.h"

#include <limits>

namespace convkit::detail {

// Quotients, roots and logarithms stay LibTorch's: where small differences become large ones, a plan is
// proven by what it gives LibTorch's operators. oneDNN's exponential makes infinity of NaN, and its softplus a number
// below 0 of -20.
std::optional<Eltwise> eltwise_of(const Operation& operation) {
  using dnnl::algorithm;
  const std::string name = plain_name(operation);
  const auto& arguments = operation.arguments;
  const auto number = [&](std::size_t i) {
    return static_cast<float>(arguments.at(i).constant.toScalar().toDouble());
  };
  const auto limit = [&](std::size_t i, float otherwise) {
    return i < arguments.size() && arguments[i].constant.isScalar() ? number(i) : otherwise;
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::string& overload = operation.handle.operator_name().overload_name;
  if (name == "pow" && overload == "Tensor_Scalar" && number(1) == 2) {
    return Eltwise{algorithm::eltwise_square};
  }
  if (!overload.empty()) return std::nullopt;
  if (name == "relu") return Eltwise{algorithm::eltwise_relu};
  if (name == "relu6") return Eltwise{algorithm::eltwise_clip, 0, 6};
  if (name == "hardtanh") return Eltwise{algorithm::eltwise_clip, number(1), number(2)};
  if (name == "clamp") {
    return Eltwise{algorithm::eltwise_clip, limit(1, -kInfinity), limit(2, kInfinity)};
  }
  if (name == "clamp_min") return Eltwise{algorithm::eltwise_clip, number(1), kInfinity};
  if (name == "clamp_max") return Eltwise{algorithm::eltwise_clip, -kInfinity, number(1)};
  if (name == "mish") return Eltwise{algorithm::eltwise_mish};
  if (name == "elu" && number(2) == 1 && number(3) == 1) {
    return Eltwise{algorithm::eltwise_elu, number(1)};
  }
  if (name == "silu") return Eltwise{algorithm::eltwise_swish, 1};
  if (name == "sigmoid") return Eltwise{algorithm::eltwise_logistic};
  if (name == "tanh") return Eltwise{algorithm::eltwise_tanh};
  if (name == "hardswish") return Eltwise{algorithm::eltwise_hardswish, 1.0F / 6, 0.5F};
  if (name == "hardsigmoid") return Eltwise{algorithm::eltwise_hardsigmoid, 1.0F / 6, 0.5F};
  if (name == "abs") return Eltwise{algorithm::eltwise_abs};
  if (name == "square") return Eltwise{algorithm::eltwise_square};
  if (name == "leaky_relu") return Eltwise{algorithm::eltwise_relu, number(1)};
  if (name == "gelu") {
    return Eltwise{arguments[1].constant.toStringRef() == "tanh" ? algorithm::eltwise_gelu_tanh
                                                                 : algorithm::eltwise_gelu_erf};
  }
  return std::nullopt;
}

std::optional<lanes::LaneActivation> activation_of(const std::optional<Operation>& operation) {
  using Kind = lanes::LaneActivation::Kind;
  if (!operation) return lanes::LaneActivation{};
  const auto eltwise = eltwise_of(*operation);
  if (!eltwise) return std::nullopt;
  const auto [algorithm, a, b] = *eltwise;
  if (algorithm == dnnl::algorithm::eltwise_relu && a != 0) {
    return lanes::LaneActivation{Kind::kLeakyRelu, a};
  }
  if (algorithm == dnnl::algorithm::eltwise_relu) return lanes::LaneActivation{Kind::kClip};
  if (algorithm == dnnl::algorithm::eltwise_clip) return lanes::LaneActivation{Kind::kClip, a, b};
  if (algorithm == dnnl::algorithm::eltwise_hardswish)
    return lanes::LaneActivation{Kind::kHardswish};
  if (algorithm == dnnl::algorithm::eltwise_swish) return lanes::LaneActivation{Kind::kSilu};
  if (algorithm == dnnl::algorithm::eltwise_logistic) return lanes::LaneActivation{Kind::kSigmoid};
  if (algorithm == dnnl::algorithm::eltwise_tanh) return lanes::LaneActivation{Kind::kTanh};
  if (algorithm == dnnl::algorithm::eltwise_gelu_tanh)
    return lanes::LaneActivation{Kind::kGeluTanh};
  if (algorithm == dnnl::algorithm::eltwise_mish) return lanes::LaneActivation{Kind::kMish};
  return std::nullopt;
}

std::optional<lanes::LaneActivation> own_activation(Lowering& lowering, const Operation& operation,
                                                    int64_t value) {
  if (lowering.memory().dtype() != torch::kFloat32 || !transposes_on(lowering.threads())) {
    return std::nullopt;
  }
  const auto activation = activation_of(operation);
  const int64_t count = element_count(lowering.sizes(value));
  return activation && activates_better(*activation, count) ? activation : std::nullopt;
}

void add_activation(Lowering& lowering, const lanes::LaneActivation& activation, const Slot& from,
                    const Slot& to, StepExplanation explanation) {
  lowering.add_command(ActivationCommand{from, to, activation, lowering.threads()},
                       std::move(explanation));
}

bool lower_activation(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  const int64_t y = operation.outputs[0];
  if (x < 0 || !lowering.is_float(x) || lowering.is_constant(x)) return false;
  const auto eltwise = eltwise_of(operation);
  if (!eltwise) return false;
  const Slot from = lowering.dense(x);
  const Slot to = lowering.may_overwrite(from, from.strides) ? from : lowering.memory().new_slot(y);
  if (const auto activation = own_activation(lowering, operation, y)) {
    StepExplanation explanation = Lowering::explanation_of(plain_name(operation), to);
    explanation.by = "convkit";
    explanation.how = "own loop";
    add_activation(lowering, *activation, from, to, std::move(explanation));
    lowering.memory().set_slot(y, to);
    return true;
  }
  const dnnl::eltwise_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, eltwise->algorithm, desc_of(from),
      desc_of(to), eltwise->alpha, eltwise->beta, attributes());
  lowering.add_primitive(
      descriptor, dnnl::eltwise_forward(descriptor),
      {Lowering::operand(DNNL_ARG_SRC, from), Lowering::operand(DNNL_ARG_DST, to)},
      Lowering::explanation_of(plain_name(operation), to));
  lowering.memory().set_slot(y, to);
  return true;
}

namespace {

/// The second term of a sum or product; nothing where oneDNN cannot take it.
std::optional<Operand> second_term(Lowering& lowering, int64_t id, std::size_t dims) {
  if (!lowering.is_constant(id)) {
    if (lowering.sizes(id).size() != dims) return std::nullopt;
    return Lowering::operand(DNNL_ARG_SRC_1, lowering.dense(id));
  }
  torch::Tensor numbers = lowering.value(id).tensor;
  while (static_cast<std::size_t>(numbers.dim()) < dims) numbers = numbers.unsqueeze(0);
  const Sizes sizes = numbers.sizes().vec();
  const dnnl::memory::desc plain(sizes, dnnl::memory::data_type::f32, row_strides(sizes));
  const dnnl::memory::desc wanted(sizes, type_of(lowering.memory().dtype()),
                                  computing_strides(sizes));
  return Lowering::operand(DNNL_ARG_SRC_1, packed(numbers.contiguous(), plain, wanted));
}

dnnl::algorithm binary_algorithm(const std::string& name) {
  if (name == "add") return dnnl::algorithm::binary_add;
  return name == "sub" ? dnnl::algorithm::binary_sub : dnnl::algorithm::binary_mul;
}

}  // namespace

bool lower_binary(Lowering& lowering, const Operation& operation) {
  const auto& arguments = operation.arguments;
  const std::string name = plain_name(operation);
  if (operation.handle.operator_name().overload_name != "Tensor") return false;
  const bool sum = name == "add" || name == "sub";
  if (sum && arguments[2].constant.toScalar().toDouble() != 1) return false;
  const int64_t y = operation.outputs[0];
  int64_t a = tensor_argument(operation, 0);
  int64_t b = tensor_argument(operation, 1);
  if (a < 0 || b < 0 || !lowering.is_float(a) || !lowering.is_float(b)) return false;
  const Sizes& sizes = lowering.sizes(y);
  const bool commutes = name == "add" || name == "mul";
  if (commutes && lowering.sizes(a) != sizes) std::swap(a, b);
  if (lowering.sizes(a) != sizes || lowering.is_constant(a)) return false;
  if (sizes.size() != 4 && lowering.sizes(b) != sizes) return false;
  const Slot x = lowering.dense(a);
  const std::optional<Operand> other = second_term(lowering, b, sizes.size());
  if (!other) return false;
  const bool in_place = lowering.may_overwrite(x, x.strides) && other->buffer != x.buffer;
  const Slot to = in_place ? x : lowering.memory().new_slot(y);
  const dnnl::binary::primitive_desc descriptor(cpu_engine(), binary_algorithm(name), desc_of(x),
                                                other->desc, desc_of(to), attributes());
  lowering.add_primitive(
      descriptor, dnnl::binary(descriptor),
      {Lowering::operand(DNNL_ARG_SRC_0, x), *other, Lowering::operand(DNNL_ARG_DST, to)},
      Lowering::explanation_of(name, to));
  lowering.memory().set_slot(y, to);
  return true;
}

}  // namespace convkit::detail

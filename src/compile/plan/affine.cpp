#include "compile/plan/affine.h"

#include <ATen/ATen.h>

#include <cmath>

namespace convkit::detail {

namespace {

/// Sums and products beyond these stay operators: a step that stands for several would not round, or
/// overflow, as they do. (x + 2^23) - 2^23 rounds x to a whole number. Batch norms have no such reason.
constexpr double kLargestShift = 1024;
constexpr double kLargestNumber = 1e12;

/// A tensor that is the same for all inputs, as far as an affine step can take it.
struct Constant {
  torch::Tensor numbers;  ///< in double: one, or one for each place along `axis`
  int64_t axis = 1;
};

class AffineFinder {
 public:
  explicit AffineFinder(Graph& graph) : graph_(graph), links_(graph.links()) {}

  void run() {
    for (Step& step : graph_.steps) {
      const auto* operation = std::get_if<Operation>(&step);
      if (operation == nullptr || operation->outputs.size() != 1 || operation->outputs[0] < 0 ||
          !operation->written.empty() || !graph_.is_pure(operation->outputs[0])) {
        continue;
      }
      std::optional<Affine> found = affine_of(*operation);
      if (!found) continue;
      found->output = operation->outputs[0];
      found->operators = {plain_name(*operation)};
      if (!is_taken(*found)) continue;
      step = std::move(*found);
    }
  }

 private:
  bool is_taken(const Affine& affine) const {
    if (affine.input < 0 || graph_.is_constant(affine.input)) return false;
    const Value& from = graph_.value(affine.input);
    const Value& to = graph_.value(affine.output);
    if (from.sizes != to.sizes || from.dtype != torch::kFloat32 || to.dtype != torch::kFloat32 ||
        !graph_.is_pure(affine.input)) {
      return false;
    }
    const auto fits = [](const torch::Tensor& numbers, double least, double most) {
      if (!numbers.defined()) return true;
      const torch::Tensor size = numbers.abs();
      return (size.eq(0) | (size.ge(least) & size.le(most))).all().item<bool>();
    };
    const bool norm = affine.operators.front() == "batch_norm";
    return fits(affine.scale, 1 / kLargestNumber, kLargestNumber) &&
           fits(affine.shift, 0, norm ? kLargestNumber : kLargestShift);
  }

  std::optional<Affine> affine_of(const Operation& operation) const {
    const std::string name = plain_name(operation);
    if (name == "batch_norm") return batch_norm(operation);
    if (name == "neg") return affine(tensor_argument(operation, 0), at::scalar_tensor(-1.0), {});
    if (name == "mul" || name == "div") return product(operation, name == "div");
    if (name == "add" || name == "sub" || name == "rsub") return sum(operation, name);
    return std::nullopt;
  }

  static Affine affine(int64_t input, const torch::Tensor& scale, const torch::Tensor& shift,
                       int64_t axis = 1) {
    Affine result;
    result.input = input;
    if (scale.defined()) result.scale = scale.to(torch::kDouble);
    if (shift.defined()) result.shift = shift.to(torch::kDouble);
    result.axis = axis;
    return result;
  }

  std::optional<Affine> batch_norm(const Operation& operation) const {
    const auto tensor = [&](std::size_t i) {
      const int64_t id = tensor_argument(operation, i);
      return id < 0 ? torch::Tensor() : graph_.value(id).tensor.to(torch::kDouble);
    };
    for (std::size_t i = 1; i <= 4; ++i) {
      const int64_t id = tensor_argument(operation, i);
      if (id >= 0 ? !graph_.is_constant(id) : i > 2) return std::nullopt;  // mean and variance
    }
    if (operation.arguments[5].constant.toBool()) return std::nullopt;  // of the batch itself
    torch::Tensor scale = (tensor(4) + operation.arguments[7].constant.toDouble()).rsqrt();
    if (const torch::Tensor weight = tensor(1); weight.defined()) scale = scale * weight;
    torch::Tensor shift = -tensor(3) * scale;
    if (const torch::Tensor bias = tensor(2); bias.defined()) shift = shift + bias;
    return affine(tensor_argument(operation, 0), scale, shift);
  }

  std::optional<Affine> product(const Operation& operation, bool divides) const {
    const std::string& overload = operation.handle.operator_name().overload_name;
    if (overload != "Tensor" && overload != "Scalar") return std::nullopt;
    const std::size_t dims = graph_.value(operation.outputs[0]).sizes.size();
    int64_t input = tensor_argument(operation, 0);
    std::optional<Constant> factor = constant_of(operation, 1, dims);
    if (!factor && !divides) {
      input = tensor_argument(operation, 1);
      factor = constant_of(operation, 0, dims);
    }
    if (!factor) return std::nullopt;
    return affine(input, divides ? factor->numbers.reciprocal() : factor->numbers, {},
                  factor->axis);
  }

  /// x + alpha c, c + alpha x, x - alpha c, c - alpha x.
  std::optional<Affine> sum(const Operation& operation, const std::string& name) const {
    if (operation.arguments.size() < 3 || !operation.arguments[2].constant.isScalar()) {
      return std::nullopt;
    }
    const std::size_t dims = graph_.value(operation.outputs[0]).sizes.size();
    double alpha = operation.arguments[2].constant.toScalar().toDouble();
    if (name != "add") alpha = -alpha;
    // The terms are `first + alpha * second`.
    const std::size_t first = name == "rsub" ? 1 : 0;
    if (const auto shift = constant_of(operation, 1 - first, dims)) {
      return affine(tensor_argument(operation, first), {}, shift->numbers * alpha, shift->axis);
    }
    const auto shift = constant_of(operation, first, dims);
    if (!shift) return std::nullopt;
    const torch::Tensor scale = alpha == 1 ? torch::Tensor() : at::scalar_tensor(alpha);
    return affine(tensor_argument(operation, 1 - first), scale, shift->numbers, shift->axis);
  }

  /// Argument `i` of an operator whose result has so many dimensions, if it is one number, or numbers
  /// along one axis.
  std::optional<Constant> constant_of(const Operation& operation, std::size_t i,
                                      std::size_t dims) const {
    const Argument& argument = operation.arguments.at(i);
    if (argument.constant.isScalar()) return number(argument.constant.toScalar());
    const int64_t id = tensor_argument(operation, i);
    if (id < 0) return std::nullopt;
    if (!graph_.is_constant(id)) return filled(id);
    const torch::Tensor& tensor = graph_.value(id).tensor;
    if (tensor.is_complex() || tensor.numel() == 0) return std::nullopt;
    const torch::Tensor numbers = tensor.to(torch::kDouble).reshape(-1);
    if (numbers.numel() == 1) return Constant{numbers[0]};
    for (int64_t axis = 0; axis < tensor.dim(); ++axis) {
      if (tensor.size(axis) != tensor.numel()) continue;
      return Constant{numbers, axis + static_cast<int64_t>(dims) - tensor.dim()};
    }
    return std::nullopt;
  }

  static std::optional<Constant> number(const at::Scalar& scalar) {
    if (scalar.isComplex()) return std::nullopt;
    return Constant{at::scalar_tensor(scalar.toDouble(), torch::kDouble)};
  }

  /// The number that a tensor of the input's size is filled with: LibTorch computes `1 - x` so.
  std::optional<Constant> filled(int64_t id) const {
    const std::size_t place = links_.makers.at(static_cast<std::size_t>(id));
    if (place >= graph_.steps.size() || !graph_.is_pure(id) ||
        graph_.value(id).dtype != torch::kFloat32) {
      return std::nullopt;  // another type would round the number
    }
    const auto* operation = std::get_if<Operation>(&graph_.steps[place]);
    if (operation == nullptr) return std::nullopt;
    const std::string name = plain_name(*operation);
    if (name == "zeros_like") return number(0);
    if (name == "ones_like") return number(1);
    if (name != "fill" && name != "full_like") return std::nullopt;
    const c10::IValue& given = operation->arguments.at(1).constant;
    return given.isScalar() ? number(given.toScalar()) : std::nullopt;
  }

  Graph& graph_;
  Graph::Links links_;
};

}  // namespace

void find_affine(Graph& graph) {
  AffineFinder(graph).run();
}

}  // namespace convkit::detail

#include "compile/plan/fusion.h"

#include <array>

namespace convkit::detail {

namespace {

/// convolution(x) * scale + shift, for each channel of the output, computed in double.
Convolution scaled(const Convolution& convolution, const torch::Tensor& scale,
                   const torch::Tensor& shift) {
  Convolution result = convolution;
  const torch::Tensor weight = convolution.weight.to(torch::kDouble);
  if (convolution.transposed) {  // [in, out / groups, kH, kW]: the groups are along `in`
    const auto sizes = weight.sizes();
    const torch::Tensor grouped = weight.view(
        {convolution.groups, sizes[0] / convolution.groups, sizes[1], sizes[2], sizes[3]});
    result.weight = (grouped * scale.view({convolution.groups, 1, sizes[1], 1, 1})).view(sizes);
  } else {
    std::vector<int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
    shape[0] = -1;
    result.weight = weight * scale.view(shape);
  }
  result.weight = result.weight.to(torch::kFloat32);
  const torch::Tensor bias =
      convolution.bias.defined() ? convolution.bias.to(torch::kDouble) : torch::zeros_like(scale);
  result.bias = (bias * scale + shift).to(torch::kFloat32);
  return result;
}

class Fusion {
 public:
  explicit Fusion(Graph& graph) : graph_(graph), links_(graph.links()), gone_(graph.steps.size()) {}

  /// One walk is enough: what follows a convolution comes after it, and the two take its place.
  void run() {
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      const auto* operation = std::get_if<Operation>(&graph_.steps[i]);
      if (operation == nullptr || operation->outputs.size() != 1 || operation->outputs[0] < 0 ||
          !graph_.is_pure(operation->outputs[0]) || operation->arguments.empty()) {
        continue;
      }
      std::size_t place = 0;  // of the convolution
      std::optional<Convolution> fused = fused_with(*operation, &place);
      if (!fused) continue;
      fused->output = operation->outputs[0];
      if (fused->activation) {  // it works in place, on what the convolution gives
        fused->activation->arguments[0].values = {fused->output};
        fused->activation->outputs = {fused->output};
      }
      links_.makers.at(static_cast<std::size_t>(fused->output)) = i;
      graph_.steps[i] = std::move(*fused);
      gone_[place] = true;
    }
    std::size_t next = 0;
    std::erase_if(graph_.steps, [&](const Step&) { return gone_[next++]; });
  }

 private:
  /// The convolution that makes a value which nothing else uses, and that nothing follows yet.
  const Convolution* open_convolution(int64_t id, std::size_t* place) const {
    if (id < 0 || links_.uses.at(static_cast<std::size_t>(id)) != 1) return nullptr;
    *place = links_.makers.at(static_cast<std::size_t>(id));
    if (*place >= graph_.steps.size()) return nullptr;
    const auto* convolution = std::get_if<Convolution>(&graph_.steps[*place]);
    return convolution != nullptr && !convolution->activation ? convolution : nullptr;
  }

  /// The convolution at `place` together with the operator that alone uses its output.
  std::optional<Convolution> fused_with(const Operation& operation, std::size_t* place) {
    const std::string name = plain_name(operation);
    if (name == "add" || name == "mul") return with_sum_or_product(operation, name, place);
    const bool activation = is_activation(operation);
    if (!activation && name != "batch_norm") return std::nullopt;
    const Convolution* convolution = open_convolution(tensor_argument(operation, 0), place);
    if (convolution == nullptr) return std::nullopt;
    if (!activation) return with_batch_norm(*convolution, operation);
    Convolution result = *convolution;
    result.activation = operation;
    graph_.note("fused " + name);
    return result;
  }

  std::optional<Convolution> with_sum_or_product(const Operation& operation,
                                                 const std::string& name, std::size_t* place) {
    const bool plain_sum = operation.arguments.size() >= 3 && is_one(operation.arguments[2]);
    if (name == "add" && !plain_sum) return std::nullopt;
    const std::array<int64_t, 2> terms{tensor_argument(operation, 0),
                                       tensor_argument(operation, 1)};
    const Convolution* best = nullptr;  // the later one: the other is then computed already
    int64_t added = -1;
    for (std::size_t i = 0; i < 2; ++i) {
      std::size_t at = 0;
      const Convolution* convolution = open_convolution(terms.at(i), &at);
      const int64_t other = terms.at(1 - i);
      if (convolution == nullptr || convolution->added >= 0 || other < 0) continue;
      if (graph_.is_constant(other)) {
        std::optional<Convolution> result = with_channels(*convolution, name, other);
        if (!result) continue;
        *place = at;
        return result;
      }
      const bool later = best == nullptr || at > *place;
      if (name == "mul" || !can_add(*convolution, other) || !later) continue;
      best = convolution;
      added = other;
      *place = at;
    }
    if (best == nullptr) return std::nullopt;
    Convolution result = *best;
    result.added = added;
    graph_.note("fused add");
    return result;
  }

  bool can_add(const Convolution& convolution, int64_t other) const {
    const Value& output = graph_.value(convolution.output);
    const Value& value = graph_.value(other);
    return value.sizes == output.sizes && value.dtype == output.dtype && graph_.is_pure(other);
  }

  std::optional<Convolution> with_batch_norm(const Convolution& convolution,
                                             const Operation& operation) {
    const auto tensor = [&](std::size_t i) {
      const int64_t id = tensor_argument(operation, i);
      return id < 0 ? torch::Tensor() : graph_.value(id).tensor.to(torch::kDouble);
    };
    for (std::size_t i = 1; i <= 4; ++i) {
      const int64_t id = tensor_argument(operation, i);
      if (id >= 0 ? !graph_.is_constant(id) : i > 2) return std::nullopt;  // mean and variance
    }
    const bool training = operation.arguments[5].constant.toBool();
    if (training || convolution.linear || convolution.added >= 0) return std::nullopt;
    torch::Tensor scale = (tensor(4) + operation.arguments[7].constant.toDouble()).rsqrt();
    if (const torch::Tensor weight = tensor(1); weight.defined()) scale = scale * weight;
    torch::Tensor shift = -tensor(3) * scale;
    if (const torch::Tensor bias = tensor(2); bias.defined()) shift = shift + bias;
    graph_.note("folded batch_norm");
    return scaled(convolution, scale, shift);
  }

  /// The convolution with a constant for each channel, which multiplies its output or is added to it.
  std::optional<Convolution> with_channels(const Convolution& convolution, const std::string& name,
                                           int64_t constant) {
    const Value& output = graph_.value(convolution.output);
    const Value& factor = graph_.value(constant);
    const std::size_t dims = output.sizes.size();
    const std::size_t own = factor.sizes.size();
    const std::size_t axis = convolution.linear ? dims - 1 : 1;
    if (factor.dtype != torch::kFloat32 || own > dims) return std::nullopt;
    for (std::size_t i = 0; i < own; ++i) {
      const bool of_channels = i + dims - own == axis && factor.sizes[i] == output.sizes[axis];
      if (factor.sizes[i] != 1 && !of_channels) return std::nullopt;
    }
    const torch::Tensor numbers =
        factor.tensor.to(torch::kDouble).reshape(-1).expand(output.sizes[axis]);
    graph_.note("folded " + name + " of a constant");
    return name == "mul" ? scaled(convolution, numbers, torch::zeros_like(numbers))
                         : scaled(convolution, torch::ones_like(numbers), numbers);
  }

  Graph& graph_;
  Graph::Links links_;
  std::vector<bool> gone_;
};

}  // namespace

void fuse_into_convolutions(Graph& graph) {
  Fusion(graph).run();
}

}  // namespace convkit::detail

#include "compile/plan/fusion.h"

#include <ATen/ATen.h>

#include <array>

namespace convkit::detail {

namespace {

/// The operator in place, which is called on what nobody else has; the same one where there is none.
c10::OperatorHandle in_place_form(const c10::OperatorHandle& handle) {
  c10::OperatorName name = handle.operator_name();
  name.name += '_';
  const auto found = c10::Dispatcher::singleton().findSchema(name);
  const bool alike =
      found && found->schema().arguments().size() == handle.schema().arguments().size();
  return alike ? *found : handle;
}

/// y * a.scale + a.shift of y = x * scale + shift; what is undefined is 1, or 0.
struct ScaleAndShift {
  torch::Tensor scale;
  torch::Tensor shift;

  void append(const Affine& a) {
    const auto wide = [](const torch::Tensor& numbers) { return numbers.to(torch::kDouble); };
    if (a.scale.defined()) {
      scale = scale.defined() ? wide(scale) * wide(a.scale) : a.scale;
      if (shift.defined()) shift = wide(shift) * wide(a.scale);
    }
    if (a.shift.defined()) shift = shift.defined() ? wide(shift) + wide(a.shift) : a.shift;
  }
};

torch::Tensor rounded(const torch::Tensor& numbers) {
  return numbers.defined() ? numbers.to(torch::kFloat32) : numbers;
}

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

  /// One walk is enough: what follows a step comes after it, and the two take its place.
  void run() {
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      std::size_t place = 0;  // of the step that this one goes into
      std::optional<Step> fused = fused_with(graph_.steps[i], &place);
      if (!fused) continue;
      const int64_t output = outputs_of(graph_.steps[i])[0];
      set_output(*fused, output);
      links_.makers.at(static_cast<std::size_t>(output)) = i;
      graph_.steps[i] = std::move(*fused);
      gone_[place] = true;
    }
    std::size_t next = 0;
    std::erase_if(graph_.steps, [&](const Step&) { return gone_[next++]; });
    for (Step& step : graph_.steps) {
      if (std::holds_alternative<Operation>(step)) continue;
      for_each_tensor(step, [](torch::Tensor& weight) { weight = rounded(weight); });
    }
  }

 private:
  static void set_output(Step& step, int64_t output) {
    std::visit(
        [&](auto& fused) {
          if constexpr (requires { fused.activation; }) {
            fused.output = output;
            if (!fused.activation) return;  // it works in place, on what the step gives
            fused.activation->arguments[0].values = {output};
            fused.activation->outputs = {output};
          }
        },
        step);
  }

  /// The step of a kind that makes a value which nothing else uses.
  template <typename Kind>
  const Kind* only_maker(int64_t id, std::size_t* place) const {
    if (id < 0 || links_.uses.at(static_cast<std::size_t>(id)) != 1) return nullptr;
    *place = links_.makers.at(static_cast<std::size_t>(id));
    return *place < graph_.steps.size() ? std::get_if<Kind>(&graph_.steps[*place]) : nullptr;
  }

  /// The convolution that makes a value which nothing else uses, and that nothing follows yet.
  const Convolution* open_convolution(int64_t id, std::size_t* place) const {
    const auto* convolution = only_maker<Convolution>(id, place);
    return convolution != nullptr && !convolution->activation && !is_closed(*convolution)
               ? convolution
               : nullptr;
  }

  /// Whether an activation cannot follow any more.
  static bool is_closed(const Convolution& convolution) {
    return convolution.slope.defined() || convolution.scale.defined() ||
           convolution.shift.defined();
  }

  /// The step at `place` together with the one that alone uses its output.
  std::optional<Step> fused_with(const Step& step, std::size_t* place) {
    if (const auto* affine = std::get_if<Affine>(&step)) return with_affine(*affine, place);
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr || operation->outputs.size() != 1 || operation->outputs[0] < 0 ||
        !graph_.is_pure(operation->outputs[0]) || operation->arguments.empty()) {
      return std::nullopt;
    }
    const std::string name = plain_name(*operation);
    if (name == "add") return with_sum(*operation, place);
    if (name == "prelu") return with_prelu(*operation, place);
    return is_activation(*operation) ? with_activation(*operation, place) : std::nullopt;
  }

  std::optional<Step> with_activation(const Operation& operation, std::size_t* place) {
    const int64_t input = tensor_argument(operation, 0);
    const auto with = [&](auto result) -> Step {
      result.activation = operation;
      result.activation->handle = in_place_form(operation.handle);
      graph_.note("fused " + plain_name(operation));
      return result;
    };
    if (const Convolution* convolution = open_convolution(input, place)) return with(*convolution);
    const auto* affine = only_maker<Affine>(input, place);
    return affine != nullptr && !affine->activation ? std::optional(with(*affine)) : std::nullopt;
  }

  std::optional<Step> with_prelu(const Operation& operation, std::size_t* place) {
    const Convolution* convolution = open_convolution(tensor_argument(operation, 0), place);
    if (convolution == nullptr) return std::nullopt;
    Convolution result = *convolution;
    result.slope = slope_for(*convolution, operation);
    if (!result.slope.defined()) return std::nullopt;
    graph_.note("fused prelu");
    return result;
  }

  /// The weight of a PReLU, if it is one number or one for each channel of a convolution.
  torch::Tensor slope_for(const Convolution& convolution, const Operation& prelu) const {
    const int64_t weight = tensor_argument(prelu, 1);
    if (!graph_.is_constant(weight)) return {};
    const torch::Tensor& slope = graph_.value(weight).tensor;
    const std::size_t dims = graph_.value(convolution.output).sizes.size();
    // PReLU's channels are dimension 1.
    const bool fits = slope.numel() == 1 || channel_axis(convolution, dims) == 1;
    return fits && slope.scalar_type() == torch::kFloat32 ? slope.reshape(-1) : torch::Tensor();
  }

  std::optional<Step> with_sum(const Operation& operation, std::size_t* place) {
    const bool plain_sum = operation.arguments.size() >= 3 && is_one(operation.arguments[2]);
    if (!plain_sum) return std::nullopt;
    const std::array<int64_t, 2> terms{tensor_argument(operation, 0),
                                       tensor_argument(operation, 1)};
    const Convolution* best = nullptr;  // the later one: the other is then computed already
    int64_t added = -1;
    for (std::size_t i = 0; i < 2; ++i) {
      std::size_t at = 0;
      const Convolution* convolution = open_convolution(terms.at(i), &at);
      const int64_t other = terms.at(1 - i);
      if (convolution == nullptr || convolution->added >= 0 || other < 0) continue;
      const bool later = best == nullptr || at > *place;
      if (graph_.is_constant(other) || !can_add(*convolution, other) || !later) continue;
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

  std::optional<Step> with_affine(const Affine& affine, std::size_t* place) {
    if (const auto* convolution = only_maker<Convolution>(affine.input, place)) {
      const std::size_t dims = graph_.value(affine.output).sizes.size();
      if (!is_along(affine, channel_axis(*convolution, dims))) return std::nullopt;
      return with_scale_and_shift(*convolution, affine);
    }
    const auto* before = only_maker<Affine>(affine.input, place);
    if (before == nullptr || before->activation ||
        !(is_along(affine, before->axis) || is_along(*before, affine.axis))) {
      return std::nullopt;
    }
    Affine result = *before;
    if (!is_along(affine, before->axis)) result.axis = affine.axis;
    ScaleAndShift both{before->scale, before->shift};
    both.append(affine);
    result.scale = both.scale;
    result.shift = both.shift;
    result.operators.insert(result.operators.end(), affine.operators.begin(),
                            affine.operators.end());
    return result;
  }

  /// Whether an affine step has numbers along this axis alone, or one number for all.
  static bool is_along(const Affine& affine, int64_t axis) {
    const auto is_one = [](const torch::Tensor& numbers) {
      return !numbers.defined() || numbers.dim() == 0;
    };
    return affine.axis == axis || (is_one(affine.scale) && is_one(affine.shift));
  }

  /// A convolution whose output is scaled and shifted: in its weights, or after what follows it.
  Convolution with_scale_and_shift(const Convolution& convolution, const Affine& affine) {
    const bool open = convolution.added < 0 && !convolution.activation && !is_closed(convolution);
    for (const std::string& name : affine.operators) {
      graph_.note(!open                  ? "fused " + name
                  : name == "batch_norm" ? "folded batch_norm"
                                         : "folded " + name + " of a constant");
    }
    if (open) {
      const int64_t channels = channel_count(convolution);
      const auto each = [&](const torch::Tensor& numbers, double otherwise) {
        const torch::Tensor some =
            numbers.defined() ? numbers : at::full({}, otherwise, convolution.weight.options());
        return some.to(convolution.weight.device(), torch::kDouble).expand({channels});
      };
      return scaled(convolution, each(affine.scale, 1), each(affine.shift, 0));
    }
    Convolution result = convolution;
    ScaleAndShift both{convolution.scale, convolution.shift};
    both.append(affine);
    result.scale = both.scale;
    result.shift = both.shift;
    result.scaled_by.insert(result.scaled_by.end(), affine.operators.begin(),
                            affine.operators.end());
    return result;
  }

  /// Of the output.
  static int64_t channel_count(const Convolution& convolution) {
    const torch::Tensor& weight = convolution.weight;
    return convolution.transposed ? weight.size(1) * convolution.groups : weight.size(0);
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

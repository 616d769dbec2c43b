#include "compile/plan/permutations.h"

#include "compile/plan/simplify.h"

namespace convkit::detail {

namespace {

bool is_list_of(const Argument& argument, const std::vector<int64_t>& expected) {
  return argument.constant.isIntList() && argument.constant.toIntVector() == expected;
}

void set_output(Step& step, int64_t id) {
  if (auto* operation = std::get_if<Operation>(&step)) operation->outputs = {id};
  std::visit(
      [&](auto& other) {
        if constexpr (requires { other.output; }) other.output = id;
      },
      step);
}

class PermutationSinker {
 public:
  explicit PermutationSinker(Graph& graph) : graph_(graph), names_(graph) {}

  void run() {
    for (Step& step : graph_.steps) {
      names_.apply(step);
      take(step);
    }
    graph_.steps = std::move(steps_);
    names_.apply(graph_.outputs);
  }

 private:
  /// The image that a value is a permutation of; -1 for none.
  int64_t image_of(int64_t id) const {
    const auto found = permuted_.find(id);
    return found == permuted_.end() ? -1 : tensor_argument(found->second, 0);
  }

  void take(Step& step) {
    const int64_t input = inputs_of(step).empty() ? -1 : first_input(step);
    const int64_t image = image_of(input);
    if (is_permute(step)) {
      const auto& permute = std::get<Operation>(step);
      if (image >= 0 && is_list_of(permute.arguments[1], {0, 3, 1, 2})) {  // there and back
        graph_.value(image).strides = graph_.value(permute.outputs[0]).strides;
        names_.rename(permute.outputs[0], image);
        return;
      }
      if (is_list_of(permute.arguments[1], {0, 2, 3, 1}) && graph_.is_pure(input)) {
        permuted_.emplace(permute.outputs[0], permute);
      }
    }
    std::optional<Step> moved = image < 0 ? std::nullopt : moved_to_image(step, image);
    if (moved) {
      put_before_permutation(std::move(*moved), outputs_of(step)[0], permuted_.at(input));
    } else {
      steps_.push_back(std::move(step));
    }
  }

  bool is_permute(const Step& step) const {
    const auto* operation = std::get_if<Operation>(&step);
    return operation != nullptr && plain_name(*operation) == "permute" &&
           graph_.is_pure(operation->outputs[0]);
  }

  /// Runs a step on the image, and permutes its result to the value that it had before.
  void put_before_permutation(Step moved, int64_t output, Operation permute) {
    const auto sizes = graph_.value(output).sizes;
    const int64_t result =
        graph_.new_value({sizes[0], sizes[3], sizes[1], sizes[2]}, torch::kFloat32);
    set_output(moved, result);
    steps_.push_back(std::move(moved));
    permute.arguments[0].values[0] = result;
    permute.outputs = {output};
    steps_.emplace_back(permute);
    permuted_.emplace(output, std::move(permute));
  }

  /// A step on a permuted image, as one on the image itself.
  std::optional<Step> moved_to_image(const Step& step, int64_t image) {
    if (const auto* linear = std::get_if<Convolution>(&step)) {
      if (!linear->linear) return std::nullopt;
      Convolution next = *linear;
      next.linear = false;
      next.weight = next.weight.unsqueeze(-1).unsqueeze(-1);
      next.input = image;
      return next;
    }
    const auto* operation = std::get_if<Operation>(&step);
    if (operation == nullptr || operation->outputs.size() != 1 ||
        !graph_.is_pure(operation->outputs[0]) || graph_.value(image).dtype != torch::kFloat32) {
      return std::nullopt;
    }
    if (plain_name(*operation) == "layer_norm") return channel_norm_of(*operation, image);
    const bool bias = is_bias(*operation);
    if (!is_activation(*operation) && !bias) return std::nullopt;
    Operation next = *operation;
    next.arguments[0].values[0] = image;
    if (bias) reshape_bias(next);
    return next;
  }

  /// Whether it is `x + bias` of a linear layer that LibTorch computes as a product and a sum.
  bool is_bias(const Operation& operation) const {
    if (plain_name(operation) != "add" || operation.arguments.size() != 3) return false;
    const int64_t other = tensor_argument(operation, 1);
    const auto& sizes = graph_.value(operation.outputs[0]).sizes;
    return graph_.is_constant(other) && sizes.size() == 4 &&
           graph_.value(other).sizes == std::vector<int64_t>{sizes[3]};
  }

  void reshape_bias(Operation& operation) {
    const Value old = graph_.value(operation.arguments[1].values[0]);
    const int64_t id = graph_.new_value({old.sizes[0], 1, 1}, old.dtype);
    Value& bias = graph_.value(id);
    bias.kind = Value::Kind::kConstant;
    bias.tainted = false;
    bias.tensor = old.tensor.view({-1, 1, 1});
    operation.arguments[1].values[0] = id;
  }

  std::optional<Step> channel_norm_of(const Operation& operation, int64_t image) const {
    const int64_t weight = tensor_argument(operation, 2);
    const int64_t bias = tensor_argument(operation, 3);
    const auto known = [&](int64_t id) { return id < 0 || graph_.is_constant(id); };
    if (!is_list_of(operation.arguments[1], {graph_.value(image).sizes[1]}) || !known(weight) ||
        !known(bias)) {
      return std::nullopt;
    }
    ChannelNorm norm;
    norm.input = image;
    if (weight >= 0) norm.weight = graph_.value(weight).tensor;
    if (bias >= 0) norm.bias = graph_.value(bias).tensor;
    norm.eps = operation.arguments[4].constant.toDouble();
    return norm;
  }

  Graph& graph_;
  Renaming names_;
  std::vector<Step> steps_;
  std::map<int64_t, Operation> permuted_;  ///< permutations of images, by their results
};

}  // namespace

void sink_permutations(Graph& graph) {
  PermutationSinker(graph).run();
  remove_dead(graph);
}

}  // namespace convkit::detail

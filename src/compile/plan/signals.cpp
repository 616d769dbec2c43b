#include "compile/plan/signals.h"

#include "compile/plan/simplify.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace convkit::detail {

namespace {

constexpr int64_t kHeight = 2;  ///< the dimension that an image has more

Argument tensor(int64_t id) {
  Argument argument;
  argument.kind = Argument::Kind::kTensor;
  argument.values = {id};
  return argument;
}

Argument constant(const c10::IValue& value) {
  Argument argument;
  argument.constant = value;
  return argument;
}

class SignalRaiser {
 public:
  explicit SignalRaiser(Graph& graph) : graph_(graph) {}

  void run() {
    for (Step& step : graph_.steps) {
      auto* operation = std::get_if<Operation>(&step);
      std::optional<Operation> raised = operation == nullptr ? std::nullopt : raised_of(*operation);
      if (!raised) {
        steps_.push_back(std::move(step));
        continue;
      }
      const int64_t signal = operation->outputs[0];
      const int64_t image = graph_.new_value(raised_sizes(signal), torch::kFloat32);
      raised->outputs = {image};
      raised->place = -1;
      steps_.emplace_back(std::move(*raised));
      add_view("aten::squeeze", "dim", image, signal);
      images_.emplace(signal, image);
    }
    graph_.steps = std::move(steps_);
  }

 private:
  [[nodiscard]] bool is_signal(int64_t id) const {
    return id >= 0 && graph_.value(id).sizes.size() == 3 &&
           graph_.value(id).dtype == torch::kFloat32 && graph_.is_pure(id) &&
           !graph_.is_constant(id);
  }

  [[nodiscard]] std::vector<int64_t> raised_sizes(int64_t id) const {
    std::vector<int64_t> sizes = graph_.value(id).sizes;
    sizes.insert(sizes.begin() + kHeight, 1);
    return sizes;
  }

  /// The operator on images that an operator on signals is; nothing for one that stays.
  std::optional<Operation> raised_of(const Operation& operation) {
    if (operation.outputs.size() != 1 || !operation.written.empty() ||
        !is_signal(operation.outputs[0]) || !is_signal(tensor_argument(operation, 0))) {
      return std::nullopt;
    }
    const std::string name = plain_name(operation);
    if (name == "conv1d" || name == "conv_transpose1d") return raised_convolution(operation, name);
    if (!images_.contains(tensor_argument(operation, 0))) return std::nullopt;
    Operation result = operation;
    const int64_t other = tensor_argument(operation, 1);
    const bool sum = name == "add" && images_.contains(other) &&
                     graph_.value(other).sizes == graph_.value(operation.outputs[0]).sizes;
    if (!sum && !is_activation(operation) && name != "batch_norm") return std::nullopt;
    for (std::size_t i = 0; i < (sum ? 2 : 1); ++i) {
      result.arguments[i] = tensor(images_.at(tensor_argument(operation, i)));
    }
    return result;
  }

  std::optional<Operation> raised_convolution(const Operation& operation, const std::string& name) {
    const bool transposed = name == "conv_transpose1d";
    const int64_t weight = tensor_argument(operation, 1);
    if (!graph_.is_constant(weight)) return std::nullopt;
    Operation result = operation;
    const bool same = operation.arguments[4].constant.isString();
    result.handle = c10::Dispatcher::singleton().findSchemaOrThrow(
        transposed ? "aten::conv_transpose2d" : "aten::conv2d",
        transposed ? "input" : (same ? "padding" : ""));
    result.arguments[0] = tensor(image_of(tensor_argument(operation, 0)));
    result.arguments[1] = tensor(raised_weight(weight));
    const auto raise = [&](std::size_t i, int64_t of_height) {
      if (result.arguments[i].constant.isString()) return;
      const int64_t number = number_at(operation.arguments[i], 0, of_height);
      result.arguments[i] = constant(std::vector<int64_t>{of_height, number});
    };
    raise(3, 1);                   // stride
    raise(4, 0);                   // padding
    raise(transposed ? 7 : 5, 1);  // dilation
    if (transposed) raise(5, 0);   // output_padding
    graph_.note("saw a signal as an image");
    return result;
  }

  int64_t image_of(int64_t signal) {
    const auto known = images_.find(signal);
    if (known != images_.end()) return known->second;
    const int64_t image = graph_.new_value(raised_sizes(signal), torch::kFloat32);
    add_view("aten::unsqueeze", "", signal, image);
    images_.emplace(signal, image);
    return image;
  }

  int64_t raised_weight(int64_t weight) {
    const Value old = graph_.value(weight);
    const int64_t id = graph_.new_value(raised_sizes(weight), old.dtype);
    Value& raised = graph_.value(id);
    raised.kind = Value::Kind::kConstant;
    raised.tainted = false;
    raised.tensor = old.tensor.unsqueeze(kHeight);
    return id;
  }

  void add_view(const char* name, const char* overload, int64_t from, int64_t to) {
    Operation view{c10::Dispatcher::singleton().findSchemaOrThrow(name, overload),
                   {tensor(from), constant(kHeight)},
                   {to},
                   {},
                   -1};
    steps_.emplace_back(std::move(view));
  }

  Graph& graph_;
  std::vector<Step> steps_;
  std::unordered_map<int64_t, int64_t> images_;  ///< by the signals
};

}  // namespace

void see_signals_as_images(Graph& graph) {
  SignalRaiser(graph).run();
  remove_dead(graph);
}

}  // namespace convkit::detail

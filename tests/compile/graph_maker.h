#pragma once

#include "compile/engines/engine.h"
#include "compile/plan/graph.h"

#include <torch/types.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// Graphs that a test makes by hand.
namespace support {

/// A value of the graph, by its number.
struct Id {
  int64_t number = -1;  ///< -1 for a tensor that is not there
};

/// Writes a graph operator by operator. Each is run on an example, which gives its result's shape.
class GraphMaker {
 public:
  using Argument = std::variant<Id, std::vector<Id>, c10::IValue>;

  /// Inputs come before all else.
  Id input(const torch::Tensor& example) {
    TORCH_CHECK(graph.values.size() == graph.input_count, "an input after another value");
    const Id id = add(example, convkit::detail::Value::Kind::kInput);
    graph.values.back().tainted = true;
    ++graph.input_count;
    return id;
  }

  Id constant(const torch::Tensor& tensor) {
    const Id id = add(tensor, convkit::detail::Value::Kind::kConstant);
    graph.values.back().tensor = tensor;
    return id;
  }

  /// `name.overload` of "aten::name.overload", with one result.
  Id call(const std::string& name, std::initializer_list<Argument> arguments) {
    using Kind = convkit::detail::Argument::Kind;
    const auto dot = name.find('.');
    const std::string overload = dot == std::string::npos ? "" : name.substr(dot + 1);
    convkit::detail::Operation operation{
        c10::Dispatcher::singleton().findSchemaOrThrow(("aten::" + name.substr(0, dot)).c_str(),
                                                       overload.c_str()),
        {},
        {},
        {}};
    bool tainted = false;
    for (const Argument& given : arguments) {
      auto& argument = operation.arguments.emplace_back();
      if (const auto* id = std::get_if<Id>(&given)) {
        argument.kind = Kind::kTensor;
        argument.values = {id->number};
      } else if (const auto* ids = std::get_if<std::vector<Id>>(&given)) {
        argument.kind = Kind::kTensors;
        for (const Id& id : *ids) argument.values.push_back(id.number);
      } else {
        argument.constant = std::get<c10::IValue>(given);
      }
      for (const int64_t id : argument.values) tainted |= id >= 0 && graph.value(id).tainted;
    }
    if (name.substr(0, dot).ends_with('_')) {
      operation.written.push_back(operation.arguments.at(0).values.at(0));
    }
    // The number of the result is known before it is: the operator puts it there.
    operation.outputs.push_back(static_cast<int64_t>(examples.size()));
    examples.emplace_back();
    convkit::detail::call(operation, examples);
    const torch::Tensor result = examples.back();
    examples.pop_back();
    const Id id = add(result, convkit::detail::Value::Kind::kResult);
    graph.values.back().tainted = tainted;
    if (!tainted) graph.values.back().tensor = result;
    graph.steps.emplace_back(std::move(operation));
    return id;
  }

  /// The results of the steps as they are now, for other inputs.
  [[nodiscard]] static convkit::detail::Tensors run(const convkit::detail::Graph& graph,
                                                    const convkit::detail::Tensors& inputs) {
    const torch::NoGradGuard no_grad;
    std::vector<torch::Tensor> values(graph.values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (graph.is_constant(static_cast<int64_t>(i))) values[i] = graph.values[i].tensor.clone();
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) values[i] = inputs[i].clone();
    for (const auto& step : graph.steps) convkit::detail::run_step(step, values);
    convkit::detail::Tensors outputs;
    for (const int64_t id : graph.outputs) {
      outputs.push_back(values.at(static_cast<std::size_t>(id)));
    }
    return outputs;
  }

  /// The graph, which gives these values.
  convkit::detail::Graph returning(std::initializer_list<Id> results) {
    for (const Id& id : results) graph.outputs.push_back(id.number);
    return graph;
  }

  convkit::detail::Graph graph;
  std::vector<torch::Tensor> examples;  ///< of each value

 private:
  Id add(const torch::Tensor& example, convkit::detail::Value::Kind kind) {
    const auto id = static_cast<int64_t>(graph.values.size());
    convkit::detail::Value& value = graph.values.emplace_back();
    value.kind = kind;
    value.sizes = example.sizes().vec();
    value.strides = example.strides().vec();
    value.dtype = example.scalar_type();
    value.storage = static_cast<int64_t>(graph.storages.size());
    bool is_new_tensor = true;
    for (std::size_t i = examples.size(); i-- > 0;) {
      if (!examples[i].defined() || !examples[i].is_alias_of(example)) continue;
      value.storage = graph.values[i].storage;
      if (examples[i].is_same(example)) {
        value.same_as = static_cast<int64_t>(i);
        is_new_tensor = false;
        break;
      }
    }
    if (value.storage == static_cast<int64_t>(graph.storages.size())) graph.storages.emplace_back();
    if (is_new_tensor) ++graph.storages[static_cast<std::size_t>(value.storage)].tensors;
    examples.push_back(example);
    return {id};
  }
};

}  // namespace support

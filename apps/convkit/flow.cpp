#include "flow.h"

#include "listener.h"

#include <convkit/module.h>

#include <torch/csrc/autograd/functions/accumulate_grad.h>

#include <algorithm>
#include <utility>

namespace draw {
namespace {

using torch::autograd::Edge;
using torch::autograd::Node;

class FlowMaker {
 public:
  FlowMaker(const torch::nn::Module& network, const Listener& listener, const torch::Tensor& start)
      : heard_(listener.heard), start_(start.grad_fn().get()) {
    for (const auto& heard : heard_) flow_.calls.push_back(heard.call);
    for (const auto& module : network.named_modules()) {
      for (const auto& parameter : module.value()->named_parameters(/*recurse=*/false)) {
        owners_.emplace(parameter.value().unsafeGetTensorImpl(), module.key());
      }
    }
  }

  Flow make(const torch::Tensor& output) {
    std::vector<const Node*> nodes = reached_from(output.grad_fn().get());
    std::sort(nodes.begin(), nodes.end(),
              [](const Node* a, const Node* b) { return a->sequence_nr() < b->sequence_nr(); });
    numbers_[start_] = -1;
    for (const Node* node : nodes) add(*node);
    add_silent_calls();
    flow_.output = after_silent_calls(numbers_.at(output.grad_fn().get()));
    sort();
    return std::move(flow_);
  }

 private:
  std::vector<const Node*> reached_from(const Node* last) const {
    std::vector<const Node*> found;
    std::vector<const Node*> waiting = {last};
    std::map<const Node*, bool> seen = {{start_, true}, {last, true}};
    while (!waiting.empty()) {
      const Node* node = waiting.back();
      waiting.pop_back();
      if (node == start_) continue;
      found.push_back(node);
      for (const Edge& edge : node->next_edges()) {
        if (edge.function && seen.emplace(edge.function.get(), true).second) {
          waiting.push_back(edge.function.get());
        }
      }
    }
    return found;
  }

  /// The module that a parameter is of, also of one that was turned or normalised before its use.
  std::string owner_of(const Node& node) const {
    for (const Edge& edge : node.next_edges()) {
      if (!edge.function || numbers_.contains(edge.function.get())) continue;
      const auto* leaf = dynamic_cast<const torch::autograd::AccumulateGrad*>(edge.function.get());
      if (leaf == nullptr) {
        const std::string owner = owner_of(*edge.function);
        if (!owner.empty()) return owner;
        continue;
      }
      const auto found = owners_.find(leaf->variable.unsafeGetTensorImpl());
      if (found != owners_.end()) return found->second;
    }
    return "";
  }

  void add(const Node& node) {
    Operation operation;
    for (const Edge& edge : node.next_edges()) {
      const auto found = numbers_.find(edge.function.get());
      if (edge.function && found != numbers_.end()) operation.inputs.push_back(found->second);
    }
    if (operation.inputs.empty()) return;  // of weights alone
    operation.name = node.name().substr(0, node.name().find("Backward"));
    operation.time = time_of(node);
    operation.call = call_of(node, operation);
    numbers_[&node] = static_cast<int64_t>(flow_.operations.size());
    flow_.operations.push_back(std::move(operation));
  }

  int64_t call_of(const Node& node, const Operation& operation) {
    int64_t scope = 0;
    for (std::size_t i = 0; i < heard_.size(); ++i) {
      if (heard_[i].call.time < operation.time && operation.time <= heard_[i].end) {
        scope = static_cast<int64_t>(i);
      }
    }
    const std::string owner = owner_of(node);
    const std::string& outer = flow_.calls[static_cast<std::size_t>(scope)].path;
    if (owner.empty() || !is_within(owner, outer)) return scope;
    // A holder of torch::nn called it, of which nobody tells. A bias may be an operator of its own.
    const Edge output(const_cast<Node&>(node).getptr(), 0);
    for (const int64_t input : operation.inputs) {
      if (input < 0) continue;
      const int64_t call = flow_.operations[static_cast<std::size_t>(input)].call;
      if (flow_.calls[static_cast<std::size_t>(call)].path == owner) {
        flow_.calls[static_cast<std::size_t>(call)].outputs = {output};
        return call;
      }
    }
    flow_.calls.push_back(
        {.path = owner, .outer = scope, .time = operation.time - 1, .outputs = {output}});
    return static_cast<int64_t>(flow_.calls.size()) - 1;
  }

  /// Dropout and Identity give what they were given: no operator tells of them. They stand between
  /// what gave that and all that reads it later.
  void add_silent_calls() {
    std::vector<bool> speaks(flow_.calls.size());
    const auto mark = [&](int64_t call) {
      for (; call >= 0 && !speaks[static_cast<std::size_t>(call)];
           call = flow_.calls[static_cast<std::size_t>(call)].outer) {
        speaks[static_cast<std::size_t>(call)] = true;
      }
    };
    for (const Operation& operation : flow_.operations) mark(operation.call);
    for (std::size_t i = heard_.size(); i-- > 0;) {  // the innermost ones
      if (speaks[i] || heard_[i].inputs.size() != 1) continue;
      mark(static_cast<int64_t>(i));
      silent_.push_back(i);
    }
    std::reverse(silent_.begin(), silent_.end());
    for (const std::size_t i : silent_) {
      const auto found = numbers_.find(heard_[i].inputs[0].function.get());
      if (found == numbers_.end()) continue;
      const int64_t given = after_silent_calls(found->second);
      const auto number = static_cast<int64_t>(flow_.operations.size());
      for (Operation& operation : flow_.operations) {
        if (operation.time < heard_[i].call.time) continue;
        std::replace(operation.inputs.begin(), operation.inputs.end(), given, number);
      }
      flow_.operations.push_back({.name = "",
                                  .call = static_cast<int64_t>(i),
                                  .time = heard_[i].call.time,
                                  .inputs = {given}});
      after_[given] = number;
    }
  }

  int64_t after_silent_calls(int64_t number) const {
    for (auto found = after_.find(number); found != after_.end(); found = after_.find(number)) {
      number = found->second;
    }
    return number;
  }

  void sort() {
    std::vector<int64_t> order;
    for (std::size_t i = 0; i < flow_.operations.size(); ++i) {
      order.push_back(static_cast<int64_t>(i));
    }
    const auto& operations = flow_.operations;
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return operations[static_cast<std::size_t>(a)].time <
             operations[static_cast<std::size_t>(b)].time;
    });
    std::vector<int64_t> places(order.size());
    std::vector<Operation> sorted;
    for (const int64_t number : order) {
      places[static_cast<std::size_t>(number)] = static_cast<int64_t>(sorted.size());
      sorted.push_back(operations[static_cast<std::size_t>(number)]);
    }
    for (Operation& operation : sorted) {
      for (int64_t& input : operation.inputs) {
        if (input >= 0) input = places[static_cast<std::size_t>(input)];
      }
    }
    if (flow_.output >= 0) flow_.output = places[static_cast<std::size_t>(flow_.output)];
    flow_.operations = std::move(sorted);
  }

  const std::vector<Listener::Heard>& heard_;
  const Node* start_;
  std::map<const void*, std::string> owners_;
  std::map<const Node*, int64_t> numbers_;
  std::vector<std::size_t> silent_;
  std::map<int64_t, int64_t> after_;
  Flow flow_;
};

}  // namespace

bool is_within(const std::string& path, const std::string& outer) {
  return outer.empty() ? !path.empty() : path.starts_with(outer + ".");
}

int64_t Flow::first_call(const std::string& path) const {
  int64_t found = -1;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (calls[i].path == path &&
        (found < 0 || calls[i].time < calls[static_cast<std::size_t>(found)].time)) {
      found = static_cast<int64_t>(i);
    }
  }
  return found;
}

Flow flow_of(torch::nn::Module& network, const torch::Tensor& input) {
  const torch::AutoGradMode with_gradients(true);
  network.eval();
  const torch::Tensor x = input.clone().requires_grad_();
  // Of its own, since a network may write to its input.
  const torch::Tensor start = x.clone();
  Listener listener(network);
  const torch::Tensor output = convkit::forward_child(network, start);
  Flow flow = FlowMaker(network, listener, start).make(output);
  flow.input = x;
  return flow;
}

}  // namespace draw

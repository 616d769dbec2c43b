#include "listener.h"

#include <ATen/SequenceNumber.h>
#include <torch/csrc/autograd/variable.h>

#include <utility>

namespace draw {
namespace {

using torch::autograd::Edge;

int64_t now() {
  return 2 * static_cast<int64_t>(at::sequence_number::peek()) - 1;
}

std::vector<Edge> edges_of(const convkit::detail::CallObserver::Tensors& tensors) {
  std::vector<Edge> edges;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.requires_grad()) edges.push_back(torch::autograd::impl::gradient_edge(tensor));
  }
  return edges;
}

}  // namespace

int64_t time_of(const torch::autograd::Node& node) {
  return 2 * static_cast<int64_t>(node.sequence_nr());
}

Listener::Listener(const torch::nn::Module& network) : before_(std::exchange(current, this)) {
  for (const auto& entry : network.named_modules()) {
    paths_.emplace(entry.value().get(), entry.key());
  }
  paths_[&network] = "";
}

Listener::~Listener() {
  current = before_;
}

void Listener::before(const torch::nn::Module& module, const Tensors& inputs) {
  const auto found = paths_.find(&module);
  if (found == paths_.end()) return;
  const int64_t outer = open_.empty() ? -1 : open_.back();
  open_.push_back(static_cast<int64_t>(heard.size()));
  heard.push_back({.call = {.path = found->second, .outer = outer, .time = now(), .outputs = {}},
                   .inputs = edges_of(inputs)});
}

void Listener::after(const torch::nn::Module& module, const Tensors& outputs) {
  if (!paths_.contains(&module)) return;
  Heard& ended = heard[static_cast<std::size_t>(open_.back())];
  open_.pop_back();
  ended.end = now();
  ended.call.outputs = edges_of(outputs);
}

}  // namespace draw

#include "compile/plan/concatenations.h"

#include <algorithm>

namespace convkit::detail {

namespace {

/// The concatenation of two images that a convolution alone uses; nothing for another step.
const Operation* split_of(const Graph& graph, const Graph::Links& links, const Step& step) {
  const auto* convolution = std::get_if<Convolution>(&step);
  if (convolution == nullptr || convolution->groups != 1 || convolution->linear ||
      convolution->transposed || convolution->added >= 0) {
    return nullptr;
  }
  const auto input = static_cast<std::size_t>(convolution->input);
  const std::size_t place = links.makers.at(input);
  if (links.uses.at(input) != 1 || place >= graph.steps.size()) return nullptr;
  const auto* cat = std::get_if<Operation>(&graph.steps[place]);
  if (cat == nullptr || plain_name(*cat) != "cat" || cat->arguments[0].values.size() != 2 ||
      number_at(cat->arguments[1], 0) != 1) {
    return nullptr;
  }
  const auto& images = cat->arguments[0].values;
  const bool all = std::all_of(images.begin(), images.end(), [&](int64_t id) {
    const Value& value = graph.value(id);
    return !graph.is_constant(id) && graph.is_pure(id) && value.dtype == torch::kFloat32 &&
           value.sizes.size() == 4 && value.sizes[1] > 0;
  });
  return all ? cat : nullptr;
}

}  // namespace

void split_concatenations(Graph& graph) {
  const Graph::Links links = graph.links();
  std::vector<Step> steps;
  for (const Step& step : graph.steps) {
    const Operation* cat = split_of(graph, links, step);
    if (cat == nullptr) {
      steps.push_back(step);
      continue;
    }
    const auto& convolution = std::get<Convolution>(step);
    const auto& images = cat->arguments[0].values;
    const int64_t channels = graph.value(images[0]).sizes[1];
    Convolution first = convolution;
    first.input = images[0];
    first.weight = convolution.weight.slice(1, 0, channels);
    first.bias = torch::Tensor();
    first.activation.reset();
    first.slope = first.scale = first.shift = torch::Tensor();
    first.scaled_by.clear();
    first.output = graph.new_value(graph.value(convolution.output).sizes, torch::kFloat32);
    Convolution second = convolution;
    second.input = images[1];
    second.weight = convolution.weight.slice(1, channels);
    second.added = first.output;
    steps.emplace_back(std::move(first));
    steps.emplace_back(std::move(second));
    graph.note("split a convolution of cat");
  }
  graph.steps = std::move(steps);
}

}  // namespace convkit::detail

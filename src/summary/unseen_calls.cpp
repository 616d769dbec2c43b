#include "summary/unseen_calls.h"

#include "watch/operator_names.h"

namespace convkit::detail {

void UnseenCalls::add_parts(Candidates& candidates, const torch::nn::Module& module,
                            std::ptrdiff_t parent, const std::string& name) const {
  for (const auto& child : module.children()) {
    const auto found = modules_.find(child.get());
    if (found == modules_.end() || found->second.observed) continue;
    const auto place = std::ssize(candidates.nodes);
    if (is_called_by(found->second.type, name)) {
      candidates.nodes.push_back({child.get(), &found->second, parent});
      candidates.places.push_back(place);
    } else if (!child->children().empty()) {
      candidates.nodes.push_back({child.get(), &found->second, parent});
      add_parts(candidates, *child, place, name);
    }
  }
}

const torch::nn::Module* UnseenCalls::find(const torch::nn::Module& inside,
                                           const std::string& name) {
  const auto [entry, added] = candidates_.try_emplace({&inside, name});
  Candidates& candidates = entry->second;
  if (added) add_parts(candidates, inside, -1, name);
  const auto node_of = [&](std::size_t i) -> const Node& {
    return candidates.nodes[candidates.places[i]];
  };
  const auto is_told_of = [&](std::size_t i) {
    const Node* node = &node_of(i);
    while (!node->record->observed && node->parent >= 0) node = &candidates.nodes[node->parent];
    return node->record->observed;
  };
  const std::size_t count = candidates.places.size();
  while (candidates.next < count &&
         (node_of(candidates.next).record->calls > 0 || is_told_of(candidates.next))) {
    ++candidates.next;
  }
  if (candidates.next < count) return node_of(candidates.next).module;
  while (candidates.first < count && is_told_of(candidates.first)) ++candidates.first;
  return candidates.first < count ? node_of(candidates.first).module : nullptr;
}

}  // namespace convkit::detail

#include "identify.h"

#include <convkit/models.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <vector>

namespace tool {
namespace {

/// What a file may lack, as Description::tensors says.
bool may_be_missing(std::string_view key) {
  constexpr std::string_view kAux = "aux";
  const bool is_aux = key.size() >= kAux.size() &&
                      std::equal(kAux.begin(), kAux.end(), key.begin(), [](char a, char b) {
                        return a == std::tolower(static_cast<unsigned char>(b));
                      });
  return is_aux || key.ends_with("num_batches_tracked");
}

/// The longest beginning of all keys that ends in a dot.
std::string common_prefix(const convkit::StateDict& state) {
  std::string prefix = state[0].key();
  for (const auto& entry : state) {
    const std::string& key = entry.key();
    const auto differ = std::mismatch(prefix.begin(), prefix.end(), key.begin(), key.end());
    prefix.erase(differ.first, prefix.end());
  }
  return prefix.substr(0, prefix.rfind('.') + 1);
}

/// "a.weight" -> "a."
std::string layer_of(const std::string& key) {
  return key.substr(0, key.rfind('.') + 1);
}

/// Whether layers alone that give another number of classes, the same one, keep the shapes from fitting.
bool fits(const convkit::StateDict& network, const convkit::StateDict& state,
          const std::vector<std::string>& other_shapes, std::optional<int64_t>& num_classes) {
  for (const std::string& other : other_shapes) {
    for (const auto& entry : network) {
      if (layer_of(entry.key()) != layer_of(other)) continue;
      const auto* found = state.find(entry.key());
      const torch::Tensor& expected = entry.value();
      if (found == nullptr || found->dim() != expected.dim() || found->dim() == 0 ||
          found->sizes().slice(1) != expected.sizes().slice(1) ||
          found->size(0) != num_classes.value_or(found->size(0))) {
        return false;
      }
      num_classes = found->size(0);
    }
  }
  return true;
}

bool match(convkit::models::Network network, const convkit::StateDict& state, Identity& identity) {
  const auto result = convkit::load_state_dict(
      *network, state,
      {.strict = false, .assign = true, .prefix = identity.prefix, .skip_mismatched = true});
  return std::ranges::all_of(result.missing_keys, may_be_missing) &&
         std::ranges::all_of(result.unexpected_keys, may_be_missing) &&
         fits(convkit::state_dict(*network), convkit::with_prefix_removed(state, identity.prefix),
              result.skipped_keys, identity.num_classes);
}

}  // namespace

std::optional<Identity> identify(const convkit::StateDict& state) {
  if (state.is_empty()) return std::nullopt;
  const std::string prefix = common_prefix(state);
  const auto count = std::ranges::count_if(state, [&](const auto& entry) {
    return !may_be_missing(std::string_view(entry.key()).substr(prefix.size()));
  });
  int64_t numbers = 0;
  for (const auto& entry : state) numbers += entry.value().numel();
  for (const std::string& name : convkit::models::names()) {
    const auto known = convkit::models::describe(name);
    // A head is less than half of its network: no small file makes a large one.
    if (known.tensors != count || numbers < known.parameters / 2) continue;
    Identity identity{name, std::nullopt, prefix};
    if (match(convkit::models::create(name), state, identity)) return identity;
  }
  return std::nullopt;
}

std::string published_as(const std::string& path) {
  const std::string file = std::filesystem::path(path).filename().string();
  for (const std::string& name : convkit::models::names()) {
    for (const auto& weights : convkit::models::describe(name).weights) {
      if (weights.file() == file) return weights.name + " of " + name;
    }
  }
  return "";
}

}  // namespace tool

#include <convkit/state_dict.h>

#include "core/strides.h"
#include "weights/state_dict.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <unordered_map>
#include <utility>

namespace convkit {

StateDict detail::own_state(const torch::nn::Module& module) {
  StateDict state;
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    state.insert(parameter.key(), parameter.value());
  }
  const auto* rules = dynamic_cast<const StateKeys*>(&module);
  for (const auto& buffer : module.named_buffers(/*recurse=*/false)) {
    const bool persistent =
        rules == nullptr || !rules->non_persistent_buffers().contains(buffer.key());
    if (persistent && buffer.value().defined()) state.insert(buffer.key(), buffer.value());
  }
  return state;
}

namespace {

using Keys = std::vector<std::string>;

/// A module and all modules in it. It follows a key of a state_dict from module to module, which
/// costs as much as the key has names, however many modules there are.
class KeyTree {
 public:
  struct Branch {
    std::string prefix;  // of its keys: "" of the root, "0.conv." of a child's child
    StateDict own;
    const StateKeys* rules;                                 // null of a module that has none
    std::unordered_map<std::string, std::size_t> children;  // by their places in `branches`
  };

  /// Where a key of a state_dict leads to.
  struct Place {
    std::string key;     // its current name
    std::size_t branch;  // the innermost that it names
    bool known;          // whether that branch has such a tensor
  };

  explicit KeyTree(const torch::nn::Module& root) { add(root, ""); }

  /// Follows a key; nothing for one that a module ignores. A key of an older version gets its
  /// current name unless `taken` says that another tensor has it.
  template <typename Taken>
  std::optional<Place> find(std::string key, const Taken& taken) const {
    for (std::size_t at = 0;;) {
      const Branch& branch = branches[at];
      std::string rest = key.substr(branch.prefix.size());
      if (branch.rules != nullptr && !rest.empty()) {
        std::string current = branch.rules->current_key(rest);
        if (current.empty()) return std::nullopt;
        if (current != rest && !taken(branch.prefix + current)) {
          rest = std::move(current);
          key = branch.prefix + rest;
        }
      }
      const std::size_t dot = rest.find('.');
      if (dot == std::string::npos) return Place{key, at, branch.own.contains(rest)};
      const auto child = branch.children.find(rest.substr(0, dot));
      if (child == branch.children.end()) return Place{key, at, false};
      at = child->second;
    }
  }

  std::vector<Branch> branches;  ///< each before its children: Python's order

 private:
  void add(const torch::nn::Module& module, const std::string& prefix) {
    const std::size_t at = branches.size();
    branches.push_back(
        {prefix, detail::own_state(module), dynamic_cast<const StateKeys*>(&module), {}});
    for (const auto& child : module.named_children()) {
      branches[at].children.emplace(child.key(), branches.size());
      add(*child.value(), prefix + child.key() + ".");
    }
  }
};

void add_state(const torch::nn::Module& module, const std::string& prefix, StateDict& state) {
  for (const auto& entry : detail::own_state(module)) {
    state.insert(prefix + entry.key(), entry.value().detach());
  }
  for (const auto& child : module.named_children()) {
    add_state(*child.value(), prefix + child.key() + ".", state);
  }
}

/// Whether two elements of a tensor share memory.
bool overlaps(const torch::Tensor& tensor) {
  if (tensor.layout() != torch::kStrided || tensor.is_nested()) return false;
  const auto sizes = tensor.sizes();
  const auto strides = tensor.strides();
  if (!detail::may_overlap(sizes, strides)) return false;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1 && strides[i] == 0) return true;
  }
  // Strides may interleave, and yet lead to different places.
  const torch::Tensor places = torch::arange(detail::extent(sizes, strides), torch::kLong);
  const auto [used, inverse] = at::_unique(places.as_strided(sizes, strides));
  return used.numel() < tensor.numel();
}

/// The bytes from the first to the last element of a tensor; none where it has no such memory.
struct Span {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;

  explicit Span(const torch::Tensor& tensor) {
    if (!tensor.has_storage() || tensor.is_nested() || tensor.numel() == 0) return;
    begin = static_cast<const std::byte*>(tensor.const_data_ptr());
    if (begin == nullptr) return;  // a meta tensor
    const int64_t extent = detail::extent(tensor.sizes(), tensor.strides());
    end = begin + extent * static_cast<int64_t>(tensor.element_size());
  }
};

std::string quoted(const Keys& keys) {
  std::string list;
  for (const std::string& key : keys) list += (list.empty() ? "\"" : ", \"") + key + "\"";
  return list;
}

std::string python_size(torch::IntArrayRef sizes) {
  return c10::str("torch.Size(", sizes, ")");
}

/// The prefix under which all keys of `shorter` are in `longer`; empty where there is none.
std::string common_prefix(const StateDict& longer, const StateDict& shorter) {
  if (longer.is_empty() || shorter.is_empty()) return "";
  const std::string& first = shorter.front().key();
  for (const auto& entry : longer) {
    if (!entry.key().ends_with("." + first)) continue;
    const std::string prefix = entry.key().substr(0, entry.key().size() - first.size());
    const bool all = std::all_of(shorter.begin(), shorter.end(), [&](const auto& other) {
      return longer.contains(prefix + other.key());
    });
    if (all) return prefix;
  }
  return "";
}

/// Compares a state_dict with a module, and notes in Python's order what does not fit.
class StateMatcher {
 public:
  StateMatcher(const torch::nn::Module& module, const StateDict& given,
               const LoadStateDictOptions& options)
      : options_(options) {
    const KeyTree tree(module);
    std::vector<Keys> unexpected(tree.branches.size());
    const auto taken = [&](const std::string& key) {
      return given.contains(key) || state.contains(key);
    };
    state.reserve(given.size());
    for (const auto& entry : given) {
      const auto place = tree.find(entry.key(), taken);
      if (!place) continue;
      state.insert(place->key, entry.value());
      if (!place->known) unexpected[place->branch].push_back(place->key);
    }
    // Python goes from module to module: the keys that one misses, those that it does not expect.
    for (std::size_t i = 0; i < tree.branches.size(); ++i) {
      const KeyTree::Branch& branch = tree.branches[i];
      for (const auto& entry : branch.own) match(branch.prefix + entry.key(), entry.value());
      Keys& keys = result.unexpected_keys;
      keys.insert(keys.end(), unexpected[i].begin(), unexpected[i].end());
    }
  }

  StateDict state;  ///< the given one under current names, without what the modules ignore
  LoadStateDictResult result;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> copies;  // the module's, the state's
  Keys mismatches;

 private:
  void match(const std::string& key, const torch::Tensor& target) {
    const torch::Tensor* found = state.find(key);
    if (found == nullptr) {
      const bool counter = key == "num_batches_tracked" || key.ends_with(".num_batches_tracked");
      if (!counter) result.missing_keys.push_back(key);
      return;
    }
    TORCH_CHECK_VALUE(found->defined(), "load_state_dict: expected a tensor under \"", key,
                      "\", got an undefined one");
    torch::Tensor source = *found;
    if (target.dim() == 0 && source.dim() == 1 && source.numel() == 1) source = source[0];
    if (source.sizes() == target.sizes()) {
      check_copyable(key, source, target);
      copies.emplace_back(target, source);
    } else if (options_.skip_mismatched) {
      result.skipped_keys.push_back(key);
    } else {
      mismatches.push_back("size mismatch for " + key + ": copying a param with shape " +
                           python_size(source.sizes()) +
                           " from checkpoint, the shape in current model is " +
                           python_size(target.sizes()) + ".");
    }
  }

  /// Checks a source before anything is copied, so that no copy fails after others were made.
  void check_copyable(const std::string& key, const torch::Tensor& source,
                      const torch::Tensor& target) const {
    const bool dense = !source.is_nested() && source.layout() == target.layout() &&
                       (!source.is_meta() || target.is_meta()) && !source.is_quantized();
    TORCH_CHECK_VALUE(dense, "load_state_dict: expected a dense tensor with numbers under \"", key,
                      "\", got ", source.toString());
    TORCH_CHECK_VALUE(!target.is_meta() || source.is_meta(),
                      "load_state_dict: expected memory for the module's \"", key,
                      "\", got a meta tensor");
    if (options_.assign) {
      TORCH_CHECK_VALUE(
          source.is_inference() == target.is_inference(), "load_state_dict: expected under \"", key,
          "\" ", target.is_inference() ? "an" : "no", " inference tensor, as the module has, got ",
          source.is_inference() ? "one" : "another", "; load it without .assign");
      const bool number = source.is_floating_point() || source.is_complex();
      TORCH_CHECK_VALUE(number || !target.requires_grad(),
                        "load_state_dict: expected a floating point or complex tensor for the "
                        "parameter \"",
                        key, "\", which requires gradients, got ", source.scalar_type());
      return;
    }
    TORCH_CHECK_VALUE(
        !target.is_inference() || c10::InferenceMode::is_enabled(),
        "load_state_dict: expected a tensor that can be written to as the module's \"", key,
        "\", got one that was made in c10::InferenceMode; load it there too");
    TORCH_CHECK_VALUE(!overlaps(target),
                      "load_state_dict: expected memory of its own for each element of the "
                      "module's \"",
                      key, "\", got the sizes ", target.sizes(), " with the strides ",
                      target.strides(), "; register a clone of it");
    if (source.scalar_type() == target.scalar_type()) return;
    try {
      torch::empty({1}, source.scalar_type()).to(target.scalar_type());
    } catch (const c10::Error&) {
      TORCH_CHECK_VALUE(false, "load_state_dict: expected a type that torch converts into ",
                        target.scalar_type(), " under \"", key, "\", got ", source.scalar_type());
    }
  }

  const LoadStateDictOptions& options_;
};

/// Replaces the sources that lie in memory of the targets by copies: a copy would write to the source of
/// another, or to its own. What is the target itself stays, and is not written to.
void separate(std::vector<std::pair<torch::Tensor, torch::Tensor>>& copies) {
  std::vector<Span> written;
  for (const auto& [target, source] : copies) {
    if (const Span span(target); span.end != nullptr) written.push_back(span);
  }
  std::ranges::sort(written, {}, &Span::begin);
  // The end of the memory of each span and all before it.
  for (std::size_t i = 1; i < written.size(); ++i) {
    written[i].end = std::max(written[i].end, written[i - 1].end);
  }
  for (auto& [target, source] : copies) {
    const Span span(source);
    if (span.end == nullptr) continue;
    const bool same = span.begin == Span(target).begin && source.dtype() == target.dtype() &&
                      source.is_conj() == target.is_conj() && source.is_neg() == target.is_neg() &&
                      detail::same_layout(source.sizes(), source.strides(), target.strides());
    const auto after = std::ranges::lower_bound(written, span.end, {}, &Span::begin);
    const bool shared = after != written.begin() && std::prev(after)->end > span.begin;
    if (shared && !same) source = source.clone();
  }
}

StateDict renamed(const StateDict& state, const LoadStateDictOptions& options) {
  StateDict result;
  for (const auto& entry : with_prefix_removed(state, options.prefix)) {
    const std::string key = options.rename ? options.rename(entry.key()) : entry.key();
    if (options.rename && key.empty()) continue;
    TORCH_CHECK_VALUE(!result.contains(key), "load_state_dict: expected different names, but \"",
                      entry.key(), "\" and another key are both renamed to \"", key, "\"");
    result.insert(key, entry.value());
  }
  return result;
}

/// Says what to do where every key is there, under a prefix too many or too few, but for the given one.
std::string prefix_hint(const StateDict& state, const StateDict& own, const std::string& given) {
  std::string prefix = common_prefix(state, own);
  if (!prefix.empty() && prefix != given) {
    return "All keys of the module are in the state_dict, beginning with \"" + prefix +
           "\": load it with {.prefix = \"" + prefix + "\"}.";
  }
  prefix = common_prefix(own, state);
  if (!prefix.empty()) {
    return "All keys of the state_dict are in the module, beginning with \"" + prefix +
           "\": load it into that child.";
  }
  return "";
}

}  // namespace

StateDict state_dict(const torch::nn::Module& module) {
  StateDict state;
  add_state(module, "", state);
  return state;
}

StateDict with_prefix_removed(const StateDict& state, const std::string& prefix) {
  StateDict result;
  for (const auto& entry : state) {
    if (entry.key().starts_with(prefix)) {
      result.insert(entry.key().substr(prefix.size()), entry.value());
    }
  }
  return result;
}

LoadStateDictResult load_state_dict(torch::nn::Module& module, const StateDict& state,
                                    const LoadStateDictOptions& options) {
  StateMatcher matcher(module, renamed(state, options), options);

  Keys problems;
  const LoadStateDictResult& result = matcher.result;
  if (options.strict && !result.missing_keys.empty()) {
    problems.push_back("Missing key(s) in state_dict: " + quoted(result.missing_keys) + ". ");
  }
  if (options.strict && !result.unexpected_keys.empty()) {
    problems.push_back("Unexpected key(s) in state_dict: " + quoted(result.unexpected_keys) + ". ");
  }
  problems.insert(problems.end(), matcher.mismatches.begin(), matcher.mismatches.end());
  if (!problems.empty()) {
    // Of a prefix that is not the right one, beside all keys.
    const bool as_given = !options.prefix.empty() && !options.rename;
    const std::string hint =
        prefix_hint(as_given ? state : matcher.state, state_dict(module), options.prefix);
    if (!hint.empty()) problems.push_back(hint);
    if (problems.size() == matcher.mismatches.size() && result.missing_keys.empty()) {
      problems.push_back(
          "All keys are there: with {.skip_mismatched = true} those of another shape keep the "
          "module's values.");
    }
    std::string text;
    for (const std::string& problem : problems) text += "\n\t" + problem;
    TORCH_CHECK(false, "Error(s) in loading state_dict for ", detail::python_name(module.name()),
                ":", text);
  }

  const torch::NoGradGuard no_grad;
  if (options.assign) {
    // All at first: one tensor of the module may be the source of another.
    for (auto& [target, source] : matcher.copies) source = source.detach();
    for (auto [target, source] : matcher.copies) target.set_data(source);
  } else {
    separate(matcher.copies);
    for (auto [target, source] : matcher.copies) target.copy_(source);
  }
  return std::move(matcher.result);
}

}  // namespace convkit

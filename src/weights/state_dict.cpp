#include <convkit/state_dict.h>

#include <convkit/norm.h>
#include <convkit/segmentation.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace convkit {
namespace {

using Keys = std::vector<std::string>;

/// The entries of one module alone, those that are in a state_dict.
StateDict own_state(const torch::nn::Module& module) {
  StateDict state;
  for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
    state.insert(parameter.key(), parameter.value());
  }
  const auto* ours = dynamic_cast<const TensorModule*>(&module);
  for (const auto& buffer : module.named_buffers(/*recurse=*/false)) {
    const bool persistent =
        ours == nullptr || !ours->non_persistent_buffers().contains(buffer.key());
    if (persistent && buffer.value().defined()) state.insert(buffer.key(), buffer.value());
  }
  return state;
}

void collect(const torch::nn::Module& module, const std::string& prefix, StateDict& state) {
  for (const auto& entry : own_state(module)) state.insert(prefix + entry.key(), entry.value());
  for (const auto& child : module.named_children()) {
    collect(*child.value(), prefix + child.key() + ".", state);
  }
}

std::string quoted(const Keys& keys) {
  std::string list;
  for (const std::string& key : keys) list += (list.empty() ? "\"" : ", \"") + key + "\"";
  return list;
}

std::string python_size(torch::IntArrayRef sizes) {
  return c10::str("torch.Size(", sizes, ")");
}

/// The prefix that every key of `longer` has before a key of `shorter`, and covers all of it.
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

/// Collects in Python's order what does not fit: each module's own keys before its children's.
class Matcher {
 public:
  Matcher(const StateDict& state, const LoadStateDictOptions& options)
      : state_(state), options_(options) {}

  void match(const torch::nn::Module& module, const std::string& prefix = "") {
    const StateDict own = own_state(module);
    for (const auto& entry : own) match_tensor(prefix + entry.key(), entry.value());
    const auto children = module.named_children();
    // The batch norm that it stands for had one.
    const bool frozen = dynamic_cast<const FrozenBatchNorm2dImpl*>(&module) != nullptr;
    for (const auto& entry : state_) {
      if (!entry.key().starts_with(prefix)) continue;
      const std::string rest = entry.key().substr(prefix.size());
      const std::size_t dot = rest.find('.');
      const bool known = dot == std::string::npos
                             ? own.contains(rest) || (frozen && rest == "num_batches_tracked")
                             : children.contains(rest.substr(0, dot));
      if (!known) result.unexpected_keys.push_back(entry.key());
    }
    for (const auto& child : children) match(*child.value(), prefix + child.key() + ".");
  }

  LoadStateDictResult result;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> copies;  // the module's, the state's
  Keys mismatches;

 private:
  void match_tensor(const std::string& key, const torch::Tensor& target) {
    const torch::Tensor* found = state_.find(key);
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

  /// So that no copy fails after others were made.
  void check_copyable(const std::string& key, const torch::Tensor& source,
                      const torch::Tensor& target) const {
    const bool dense = !source.is_nested() && source.layout() == target.layout() &&
                       (!source.is_meta() || target.is_meta()) && !source.is_quantized();
    TORCH_CHECK_VALUE(dense, "load_state_dict: expected a dense tensor with numbers under \"", key,
                      "\", got ", source.toString());
    if (options_.assign) {
      const bool number = source.is_floating_point() || source.is_complex();
      TORCH_CHECK_VALUE(number || !target.requires_grad(),
                        "load_state_dict: expected a floating point or complex tensor for the "
                        "parameter \"",
                        key, "\", which requires gradients, got ", source.scalar_type());
      return;
    }
    if (source.scalar_type() == target.scalar_type()) return;
    try {
      torch::empty({1}, source.scalar_type()).to(target.scalar_type());
    } catch (const c10::Error&) {
      TORCH_CHECK_VALUE(false, "load_state_dict: expected a type that torch converts into ",
                        target.scalar_type(), " under \"", key, "\", got ", source.scalar_type());
    }
  }

  const StateDict& state_;
  const LoadStateDictOptions& options_;
};

/// Copies of the tensors that other targets' memory holds: after .rename a copy may write to the
/// source of another.
void separate(std::vector<std::pair<torch::Tensor, torch::Tensor>>& copies) {
  const auto storage = [](const torch::Tensor& tensor) {
    return tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
  };
  std::set<const void*> targets;
  for (const auto& [target, source] : copies) targets.insert(storage(target));
  for (auto& [target, source] : copies) {
    if (storage(source) != storage(target) && targets.contains(storage(source))) {
      source = source.clone();
    }
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

/// The state with today's names for those that older versions of Python's modules had.
StateDict with_todays_names(const torch::nn::Module& module, const StateDict& state) {
  std::map<std::string, std::string> names;
  for (const auto& entry : module.named_modules("", /*include_self=*/true)) {
    const auto* pyramid = dynamic_cast<const FeaturePyramidNetworkImpl*>(entry.value().get());
    if (pyramid == nullptr) continue;
    const std::string prefix = entry.key().empty() ? "" : entry.key() + ".";
    for (std::size_t i = 0; i < pyramid->in_channels_list.size(); ++i) {
      for (const char* blocks : {"inner_blocks.", "layer_blocks."}) {
        const std::string block = prefix + blocks + std::to_string(i) + ".";
        for (const char* name : {"weight", "bias"}) names[block + name] = block + "0." + name;
      }
    }
  }
  if (names.empty()) return state;
  StateDict result;
  for (const auto& entry : state) {
    const auto found = names.find(entry.key());
    const bool old = found != names.end() && !state.contains(found->second);
    result.insert(old ? found->second : entry.key(), entry.value());
  }
  return result;
}

/// What to do where every key is there, under a prefix too many or too few.
std::string prefix_hint(const StateDict& state, const StateDict& own) {
  std::string prefix = common_prefix(state, own);
  if (!prefix.empty()) {
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
  StateDict own;
  collect(module, "", own);
  StateDict state;
  for (const auto& entry : own) state.insert(entry.key(), entry.value().detach());
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
  const StateDict given = with_todays_names(module, renamed(state, options));
  Matcher matcher(given, options);
  matcher.match(module);

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
    const std::string hint = prefix_hint(given, state_dict(module));
    if (!hint.empty()) problems.push_back(hint);
    std::string text;
    for (const std::string& problem : problems) text += "\n\t" + problem;
    TORCH_CHECK(false, "Error(s) in loading state_dict for ", detail::python_name(module.name()),
                ":", text);
  }

  const torch::NoGradGuard no_grad;
  separate(matcher.copies);
  for (auto [target, source] : matcher.copies) {
    if (options.assign) {
      target.set_data(source.detach());
    } else {
      target.copy_(source);
    }
  }
  return std::move(matcher.result);
}

}  // namespace convkit

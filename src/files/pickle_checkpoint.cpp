#include "files/pickle_checkpoint.h"

#include "files/named_tensors.h"
#include "files/pickle_tree.h"
#include "files/problem.h"
#include "files/state_dict_search.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace convkit::detail {
namespace {

using Candidates = std::vector<CheckpointError::Candidate>;
using Wanted = std::function<bool(const PickleMember&)>;

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return nlohmann::json(value).dump();  // as many digits as it takes
}

/// Reads from a tree what a Checkpoint has.
class CheckpointReader {
 public:
  CheckpointReader(const std::string& path, PickleTree& tree)
      : path_(path), tree_(tree), pickle_(tree.pickle()) {}

  StateDict read(const LoadCheckpointOptions& options, const MakeTensor& make_tensor) {
    const Id root = tree_.root();
    Id chosen = root;
    Wanted wanted = [](const PickleMember&) { return true; };
    if (!options.at.empty()) {
      chosen = tree_.member(root, options.at);
    } else if (!options.everything && tree_.is_container(root)) {
      chosen = choose();
      wanted = wanted_of(chosen);
    }
    StateDict state = collect(chosen, wanted, make_tensor);
    const bool empty_state_dict =
        pickle_.is(chosen, PickleKind::kDict) && pickle_.dict(chosen).empty();
    if (state.is_empty() && !empty_state_dict) {
      fail_to_load(Problem::kNotACheckpoint, path_, ": expected tensors, got ",
                   tree_.description(chosen));
    }
    return state;
  }

  /// The numbers and texts of the whole file, but for the settings of a module's layers, and what
  /// an object of Python keeps for itself.
  std::map<std::string, std::string> texts() {
    constexpr std::size_t kMost = 100'000;
    std::map<std::string, std::string> result;
    if (tree_.is_script_object(tree_.root())) return result;
    std::size_t bytes = 0;
    tree_.walk(
        tree_.root(),
        [&](const std::string& name, Id id) {
          std::optional<std::string> text = text_of(id);
          if (!text) return true;
          bytes += name.size() + text->size();
          result[name] = std::move(*text);
          return result.size() < kMost && bytes < 16 * pickle_.size + (1 << 24);
        },
        [&](const PickleMember& member) {
          const bool is_private = member.is_attribute && tree_.key_text(member).starts_with('_');
          return !is_private && !tree_.is_script_object(member.value);
        });
    return result;
  }

 private:
  std::optional<std::string> text_of(Id id) const {
    const PickleValue& value = pickle_[id];
    switch (value.kind) {
      case PickleKind::kText:
        return std::string(pickle_.text(id));
      case PickleKind::kInt:
        return std::to_string(value.integer);
      case PickleKind::kFloat:
        return number_text(value.real);
      case PickleKind::kBool:
        return value.integer != 0 ? "True" : "False";
      default:
        return std::nullopt;
    }
  }

  StateDict collect(Id chosen, const Wanted& wanted, const MakeTensor& make_tensor) {
    NamedTensors tensors;
    std::size_t name_bytes = 0;
    tree_.walk(
        chosen,
        [&](const std::string& name, Id id) {
          if (pickle_.is(id, PickleKind::kRefused)) {
            fail_to_load(Problem::kUnsupported, path_, ": tensor ", shown(name),
                         ": expected a dense one, got a ", pickle_.refused[pickle_[id].index],
                         " one");
          }
          if (!pickle_.is(id, PickleKind::kTensor)) return true;
          name_bytes += name.size();
          if (name_bytes > 16 * pickle_.size + (1 << 20)) tree_.fail_many();
          tensors.emplace_back(id == chosen ? "0" : name, make_tensor(id, name));
          return true;
        },
        wanted);
    return state_dict_of(path_, std::move(tensors));
  }

  Wanted wanted_of(Id state_dict) {
    const bool list = pickle_.is(state_dict, PickleKind::kList);
    const bool module = tree_.is_module(state_dict);
    return [this, list, module](const PickleMember& member) {
      return list ? tree_.is_tensor(member.value) : belongs_to_state_dict(tree_, module, member);
    };
  }

  /// The one state_dict of a container; the container itself where all of the file's tensors are
  /// its own, or there are none.
  Id choose() {
    const Id root = tree_.root();
    const std::vector<FoundWeights> found = find_state_dicts(tree_);
    if (found.size() == 1) return found[0].id;
    Candidates candidates;
    for (const FoundWeights& weights : found) {
      if (candidates.size() == kMostCandidates) break;
      candidates.push_back({weights.path, count(weights.id, wanted_of(weights.id))});
    }
    if (found.empty()) {
      bool nested = false;
      for (const PickleMember& child : tree_.children(root)) {
        const std::size_t tensors = count(child.value, [](const PickleMember&) { return true; });
        if (tensors == 0) continue;
        nested |= !tree_.is_tensor(child.value);
        if (candidates.size() < kMostCandidates) {
          candidates.push_back({tree_.key_text(child), tensors});
        }
      }
      if (!nested) return root;
    }
    std::string names;
    for (const auto& [at, tensors] : candidates) {
      names += c10::str(names.empty() ? "" : ", ", shown(at), " (", tensors,
                        tensors == 1 ? " tensor)" : " tensors)");
      if (names.size() > 500) {
        names += ", ...";
        break;
      }
    }
    const std::string first = shown(candidates[0].at);
    throw CheckpointError(
        Problem::kNeedsAChoice,
        c10::str("load_checkpoint: ", path_, ": expected one state_dict, got ",
                 found.empty() ? "none, but " : "", names, ": choose by {.at = ", first, "}"),
        std::move(candidates));
  }

  std::size_t count(Id id, const Wanted& wanted) {
    std::size_t tensors = 0;
    tree_.walk(
        id,
        [&](const std::string&, Id leaf) {
          tensors += tree_.is_tensor(leaf) ? 1 : 0;
          return true;
        },
        wanted);
    return tensors;
  }

  static constexpr std::size_t kMostCandidates = 100;

  const std::string& path_;
  PickleTree& tree_;
  const Pickle& pickle_;
};

}  // namespace

Checkpoint checkpoint_of(const std::string& path, const Pickle& pickle,
                         const LoadCheckpointOptions& options, const MakeTensor& make_tensor,
                         ScriptClasses* classes) {
  PickleTree tree(path, pickle, classes);
  CheckpointReader reader(path, tree);
  Checkpoint checkpoint;
  checkpoint.state = reader.read(options, make_tensor);
  checkpoint.metadata = reader.texts();
  return checkpoint;
}

}  // namespace convkit::detail

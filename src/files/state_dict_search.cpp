#include "files/state_dict_search.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

namespace convkit::detail {
namespace {

/// What the optimizers of torch keep for a parameter.
constexpr std::string_view kOfOptimizers[] = {"exp_avg",         "exp_avg_sq", "max_exp_avg_sq",
                                              "exp_avg_sq_row",  "exp_inf",    "square_avg",
                                              "momentum_buffer", "acc_delta"};

bool is_of_optimizer(std::string_view name) {
  return std::find(std::begin(kOfOptimizers), std::end(kOfOptimizers), name) !=
         std::end(kOfOptimizers);
}

/// Names such as "state.conv.weight.exp_avg", as torch.distributed.checkpoint flattens an optimizer.
bool is_of_flat_optimizer(std::string_view key) {
  return key.starts_with("state.") && is_of_optimizer(key.substr(key.rfind('.') + 1));
}

/// Whether a tensor may be a weight for itself: it is no single number, as a loss or a counter is,
/// and no vector of bytes, as the state of a random generator is.
bool is_weight(PickleTree& tree, Id id) {
  const Pickle& pickle = tree.pickle();
  if (!pickle.is(id, PickleKind::kTensor)) return pickle.is(id, PickleKind::kRefused);
  const PickleTensor& tensor = pickle.tensors[pickle[id].index];
  if (!pickle.is(tensor.sizes, PickleKind::kList)) return true;  // reading it will say so
  const std::vector<Id>& sizes = pickle.list(tensor.sizes);
  tree.work(1 + sizes.size());
  const bool single = std::all_of(sizes.begin(), sizes.end(), [&](Id size) {
    return pickle.is(size, PickleKind::kInt) && pickle[size].integer == 1;
  });
  const PickleStorage& storage = pickle.storages[pickle[tensor.storage].index];
  const bool bytes = tensor.dtype == 0 && pickle.is(storage.type, PickleKind::kGlobal) &&
                     pickle.globals[pickle[storage.type].index].name == "ByteStorage";
  return !single && !(bytes && sizes.size() == 1);
}

class Search {
 public:
  explicit Search(PickleTree& tree) : tree_(tree) {}

  std::vector<FoundWeights> run() {
    enter({tree_.root(), "", kNone});
    while (!open_.empty()) {
      Open& innermost = open_.back();
      if (innermost.next == innermost.children.size()) {
        open_.pop_back();
        continue;
      }
      const PickleMember& child = innermost.children[innermost.next++];
      if (tree_.is_container(child.value)) {
        enter({child.value, below(innermost.path, child), innermost.around});
      } else if (innermost.holds && is_weight(tree_, child.value)) {
        weights_.push_back({innermost.around, child});
      }
    }
    std::vector<FoundWeights> found;
    for (const auto& [holder, tensor] : weights_) {
      const Holder& at = holders_[holder];
      if (tensor && at.has_another) found.push_back({tensor->value, below(at.path, *tensor)});
      if (!tensor && !at.has_another) found.push_back({at.id, at.path});
    }
    return found;
  }

 private:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

  /// A module, or a dict with weights of its own.
  struct Holder {
    Id id;
    std::string path;
    std::size_t around;  // the holder in which it lies, or kNone
    bool has_another;    // in it
  };
  struct Container {
    Id id;
    std::string path;
    std::size_t around;
  };
  /// A holder, or a tensor of its own.
  struct Weights {
    std::size_t holder;
    std::optional<PickleMember> tensor;
  };
  struct Open {
    std::string path;
    std::size_t around;  // or the holder that it is itself
    bool holds;
    std::vector<PickleMember> children;
    std::size_t next = 0;
  };

  std::string below(const std::string& path, const PickleMember& child) {
    const std::string key = tree_.key_text(child);
    tree_.work(1 + (path.size() + key.size()) / 16);
    if (path.size() + key.size() > 65536) tree_.fail_many();
    return path.empty() ? key : path + "." + key;
  }

  void enter(Container container) {
    constexpr std::size_t kDeepest = 1000;  // each level has its path
    if (open_.size() > kDeepest) tree_.fail_deep();
    if (!tree_.is_container(container.id) || !seen_.insert(container.id).second) return;
    std::vector<PickleMember> children = tree_.children(container.id);
    const bool module = tree_.is_module(container.id);
    const bool of_python = module && !tree_.is_script_object(container.id);
    if (!of_python && is_optimizer(children)) return;
    if (module) {
      add(container);
      return;
    }
    bool own = false;
    bool dotted = false;
    for (const PickleMember& child : children) {
      const bool named =
          child.key != PickleMember::kNoKey && tree_.pickle().is(child.key, PickleKind::kText);
      if (!named || !is_weight(tree_, child.value)) continue;
      own = true;
      dotted |= tree_.pickle().text(child.key).find('.') != std::string_view::npos;
    }
    if (own) add(container);
    if (dotted) return;
    const std::size_t around = own ? holders_.size() - 1 : container.around;
    open_.push_back({container.path, around, own, std::move(children)});
  }

  void add(const Container& container) {
    if (container.around != kNone) holders_[container.around].has_another = true;
    weights_.push_back({holders_.size(), std::nullopt});
    holders_.push_back({container.id, container.path, container.around, false});
  }

  bool is_optimizer(const std::vector<PickleMember>& children) const {
    bool state = false;
    bool groups = false;
    bool of_parameter = false;
    for (const PickleMember& child : children) {
      if (child.key == PickleMember::kNoKey || !tree_.pickle().is(child.key, PickleKind::kText)) {
        continue;
      }
      const std::string_view key = tree_.pickle().text(child.key);
      if (is_of_flat_optimizer(key)) return true;
      if (key.find('.') != std::string_view::npos) return false;  // the names of a module's tensors
      state |= key == "state";
      groups |= key == "param_groups";
      of_parameter |= is_of_optimizer(key);
    }
    return of_parameter || (state && groups);
  }

  PickleTree& tree_;
  std::vector<Holder> holders_;
  std::vector<Weights> weights_;  // in the order of the file
  std::vector<Open> open_;
  std::set<Id> seen_;
};

}  // namespace

std::vector<FoundWeights> find_state_dicts(PickleTree& tree) {
  return Search(tree).run();
}

bool belongs_to_state_dict(PickleTree& tree, bool of_module, const PickleMember& member) {
  if (of_module || tree.is_tensor(member.value)) return true;
  if (!tree.pickle().is(member.value, PickleKind::kList)) return false;
  bool found = false;
  tree.walk(
      member.value,
      [&](const std::string&, Id leaf) {
        found = is_weight(tree, leaf);
        return !found;
      },
      [&](const PickleMember& inner) {
        return tree.is_tensor(inner.value) || tree.pickle().is(inner.value, PickleKind::kList);
      });
  return found;
}

}  // namespace convkit::detail

#pragma once

#include <convkit/state_dict.h>

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace convkit {

/// A value such as the files of torch.save hold: None, a number, a text, a tensor, or a list or dict
/// of such values. The state of an optimizer is one, and so is that of a whole training:
///
///     Tree training = Tree::dict();
///     training.set("model", state_dict(*net));
///     training.set("optimizer", optimizer.state_dict());
///     training.set("epoch", 3);
///     save_tree("training.pt", training);
///
/// Copies of a tree have the same tensors.
class CONVKIT_API Tree {
 public:
  /// What a tree is.
  enum class Kind { kNone, kBool, kInt, kFloat, kText, kTensor, kList, kDict };
  /// What Python calls a list or a dict has several classes. They matter when a file is written
  /// alone: a tree that was read has lists and plain dicts.
  enum class Python { kPlain, kTuple, kOrderedDict, kCounter };
  using Key = std::variant<int64_t, std::string>;  ///< of a dict
  struct Entry;

  Tree() = default;  ///< None
  Tree(bool value) : value_(value) {}
  Tree(int value) : value_(int64_t{value}) {}
  Tree(int64_t value) : value_(value) {}
  Tree(double value) : value_(value) {}
  Tree(const char* text) : value_(std::string(text)) {}
  Tree(std::string text) : value_(std::move(text)) {}
  Tree(torch::Tensor tensor) : value_(std::move(tensor)) {}
  Tree(const StateDict& state);  ///< an OrderedDict, as Python's module.state_dict() gives it

  static Tree list(std::vector<Tree> items = {});          ///< a list of these items
  static Tree tuple(std::vector<Tree> items);              ///< a list that is written as a tuple
  static Tree dict();                                      ///< an empty dict
  static Tree counter();                                   ///< collections.Counter
  static Tree numbers(const std::vector<double>& values);  ///< a list of them

  /// What it is.
  Kind kind() const;
  /// The class as which Python gets it.
  Python python() const { return python_; }
  /// Whether it is Python's None.
  bool is_none() const { return kind() == Kind::kNone; }

  /// Each gives the value of its kind. Numbers take what Python would: a bool is a whole number, and
  /// a whole number is a number.
  ///
  /// Throws:  c10::ValueError for another kind, which it names
  bool boolean() const;
  int64_t integer() const;
  double number() const;
  const std::string& text() const;
  const torch::Tensor& tensor() const;
  const std::vector<Tree>& items() const;
  std::vector<double> numbers() const;  ///< those of a list
  /// The entries of a dict, in order.
  const std::vector<Entry>& entries() const;

  /// Adds an item to a list.
  void add(Tree item);
  /// Sets an entry of a dict, in its place where the key is there already.
  void set(Key key, Tree value);
  /// The value under a key of a dict; null where there is none.
  const Tree* find(const Key& key) const;
  /// The value under a key of a dict.
  ///
  /// Throws:  c10::ValueError where there is none, with the key
  const Tree& at(const Key& key) const;

  /// A dict of tensors as a state_dict, for load_state_dict().
  ///
  /// Throws:  c10::ValueError for keys that are no texts, and values that are no tensors
  StateDict state_dict() const;

 private:
  struct Dict;

  const Dict& as_dict() const;

  // Copies share a dict until one of them is changed.
  std::variant<std::monostate, bool, int64_t, double, std::string, torch::Tensor, std::vector<Tree>,
               std::shared_ptr<Dict>>
      value_;
  Python python_ = Python::kPlain;
};

/// A key of a dict and its value.
struct Tree::Entry {
  Key key;
  Tree value;
};

/// Writes a tree as a file for torch.load(weights_only=True), with the extension .pt or .pth. The
/// file is written whole or not at all, as save_checkpoint() does.
///
/// Throws:  c10::ValueError for another extension, a tensor that save_checkpoint() refuses (with its
///          path), a text that is not UTF-8, or more than 100 levels; CheckpointError for a file that
///          cannot be written
CONVKIT_API void save_tree(const std::string& path, const Tree& tree);

/// Reads all of a file of torch.save, of either format. As with load_checkpoint(), the tensors are
/// mapped, share memory as they did, and are on the CPU; nothing in the file is trusted or run.
///
/// Throws:  CheckpointError, as load_checkpoint() does, and for what no tree has: objects of other
///          classes, bytes, whole numbers above 64 bits, keys that are neither texts nor whole
///          numbers, and more than 100 levels
/// Source:  torch.load(weights_only=True)
/// Differs: tuples and sets are lists, and OrderedDicts and Counters dicts. What holds a list or dict
///          several times has copies of it.
CONVKIT_API Tree load_tree(const std::string& path);

}  // namespace convkit

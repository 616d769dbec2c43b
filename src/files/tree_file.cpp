// Reads and writes all of a file of torch.save.
#include "files/tree_file.h"

#include "core/text.h"
#include "files/checkpoint.h"
#include "files/foreign.h"
#include "files/problem.h"
#include "files/torch_read.h"
#include "files/torch_write.h"

#include <new>

namespace convkit {
namespace detail {
namespace {

std::string under(const std::string& path, const Tree::Key& key) {
  const auto* number = std::get_if<int64_t>(&key);
  const std::string name = number != nullptr ? std::to_string(*number) : std::get<std::string>(key);
  return path.empty() ? name : path + "." + name;
}

/// Makes a tree of a pickle's values, level by level, without recursion: a value that holds itself
/// would have no end, and one that is shared a thousandfold makes a small file a large tree.
class TreeReader {
 public:
  TreeReader(const std::string& path, const Pickle& pickle, const MakeTensor& make_tensor)
      : path_(path),
        pickle_(pickle),
        make_tensor_(make_tensor),
        nodes_left_(2 * pickle.values.size() + pickle.size +
                    10'000),  // None has a byte, and no value
        bytes_left_(16 * pickle.size + (1 << 20)) {}

  Tree read() {
    Tree root;
    if (open(pickle_.root, nullptr, root)) {
      while (!levels_.empty()) step(root);
    }
    return root;
  }

 private:
  /// A list or dict whose members are being read.
  struct Level {
    Id id;
    std::string path;
    Tree tree;
    Tree::Key key;  // of the tree in the level above
    std::size_t next = 0;
  };

  template <typename... Parts>
  [[noreturn]] void refuse(const std::string& name, const Parts&... parts) const {
    fail_to_load(
        Problem::kUnsupported, path_, ": expected numbers, texts, tensors, lists and dicts",
        name.empty() ? "" : " under ", name.empty() ? "" : shown(name), ", got ", parts...);
  }

  /// Reads the next member of the innermost level, or closes it.
  void step(Tree& root) {
    Level& level = levels_.back();
    const bool dict = pickle_.is(level.id, PickleKind::kDict);
    const std::size_t count = dict ? pickle_.dict(level.id).size() : pickle_.list(level.id).size();
    if (level.next == count) {
      Tree done = std::move(level.tree);
      const Tree::Key key = std::move(level.key);
      levels_.pop_back();
      if (levels_.empty()) {
        root = std::move(done);
      } else {
        put(levels_.back(), key, std::move(done));
      }
      return;
    }
    const std::size_t index = level.next++;
    Tree::Key key = static_cast<int64_t>(index);
    Id value = 0;
    if (dict) {
      const auto [key_id, value_id] = pickle_.dict(level.id)[index];
      if (pickle_.is(key_id, PickleKind::kText)) {
        key = text(key_id);
      } else if (pickle_.is(key_id, PickleKind::kInt)) {
        key = pickle_[key_id].integer;
      } else {
        refuse(level.path, "a key that is neither text nor whole number");
      }
      value = value_id;
    } else {
      value = pickle_.list(level.id)[index];
    }
    Tree leaf;
    if (open(value, &key, leaf)) {
      levels_.back().key = std::move(key);
    } else {
      put(levels_.back(), key, std::move(leaf));
    }
  }

  static void put(Level& level, const Tree::Key& key, Tree value) {
    if (level.tree.kind() == Tree::Kind::kDict) {
      level.tree.set(key, std::move(value));
    } else {
      level.tree.add(std::move(value));
    }
  }

  /// Begins a level for a list or dict; gives any other value as `leaf` and returns false.
  bool open(Id id, const Tree::Key* key, Tree& leaf) {
    if (nodes_left_-- == 0) refuse("", "lists and dicts that hold each other too often");
    const PickleValue& value = pickle_[id];
    std::string name;
    const bool plain = value.kind == PickleKind::kNone || value.kind == PickleKind::kBool ||
                       value.kind == PickleKind::kInt || value.kind == PickleKind::kFloat ||
                       value.kind == PickleKind::kText;
    if (key != nullptr && !plain) {
      name = under(levels_.back().path, *key);
      spend(name.size());
    }
    switch (value.kind) {
      case PickleKind::kNone:
        return false;
      case PickleKind::kBool:
        leaf = value.integer != 0;
        return false;
      case PickleKind::kInt:
        leaf = value.integer;
        return false;
      case PickleKind::kFloat:
        leaf = value.real;
        return false;
      case PickleKind::kText:
        leaf = text(id);
        return false;
      case PickleKind::kTensor:
        leaf = make_tensor_(id, name);
        return false;
      case PickleKind::kList:
      case PickleKind::kDict:
        break;
      case PickleKind::kBigInt:
        refuse(name, "a whole number above 64 bits");
      case PickleKind::kBytes:
        refuse(name, "bytes");
      case PickleKind::kRefused:
        refuse(name, "a ", pickle_.refused[value.index], " tensor");
      case PickleKind::kGlobal:
      case PickleKind::kObject:
      case PickleKind::kStorage:
        refuse(name, "an object of another class");
    }
    if (levels_.size() == kMostLevels) refuse("", "more than ", kMostLevels, " levels of them");
    const bool dict = value.kind == PickleKind::kDict;
    levels_.push_back({id, name, dict ? Tree::dict() : Tree::list(), {}, 0});
    return true;
  }

  std::string text(Id id) {
    spend(pickle_.text(id).size());
    return std::string(pickle_.text(id));
  }

  void spend(std::size_t bytes) {
    if (bytes > bytes_left_) refuse("", "texts that are repeated too often");
    bytes_left_ -= bytes;
  }

  const std::string& path_;
  const Pickle& pickle_;
  const MakeTensor& make_tensor_;
  std::size_t nodes_left_;
  std::size_t bytes_left_;
  std::vector<Level> levels_;
};

void check_utf8(const std::string& text) {
  TORCH_CHECK_VALUE(json_string(text), "save_tree: expected texts in UTF-8, got ", shown(text));
}

/// Refuses what cannot be written, before anything is. No deeper than kMostLevels.
void check_to_save(const Tree& tree, const std::string& path, std::size_t level) {
  TORCH_CHECK_VALUE(level <= kMostLevels, "save_tree: expected at most ", kMostLevels,
                    " levels of lists and dicts, got more");
  if (tree.kind() == Tree::Kind::kText) check_utf8(tree.text());
  if (tree.kind() == Tree::Kind::kTensor) {
    TORCH_CHECK_VALUE(is_storable(tree.tensor()), "save_tree: expected a dense tensor under ",
                      shown(path), ", got ", tree.tensor().toString());
  }
  if (tree.kind() == Tree::Kind::kList) {
    int64_t index = 0;
    for (const Tree& item : tree.items()) check_to_save(item, under(path, index++), level + 1);
  }
  if (tree.kind() == Tree::Kind::kDict) {
    for (const Tree::Entry& entry : tree.entries()) {
      if (const auto* name = std::get_if<std::string>(&entry.key)) check_utf8(*name);
      check_to_save(entry.value, under(path, entry.key), level + 1);
    }
  }
}

}  // namespace

Tree tree_of(const std::string& path, const Pickle& pickle, const MakeTensor& make_tensor) {
  return TreeReader(path, pickle, make_tensor).read();
}

Tree read_tree(const std::shared_ptr<const MappedFile>& file) {
  Tree result;
  const auto take = [&](const Pickle& pickle, const MakeTensor& make_tensor, ScriptClasses*) {
    result = tree_of(file->path(), pickle, make_tensor);
  };
  with_problem(Problem::kDamaged, [&] {
    if (file->bytes().starts_with("PK\3\4")) return read_torch_zip(file, take);
    if (is_torch_legacy(file->bytes())) return read_torch_legacy(file, take);
    const std::string kind = foreign_kind(file->bytes(), file->path());
    fail_to_load(Problem::kNotACheckpoint, file->path(), " is ",
                 kind.empty() ? "no file of torch.save" : kind);
  });
  return result;
}

}  // namespace detail

void save_tree(const std::string& path, const Tree& tree) {
  TORCH_CHECK_VALUE(path.ends_with(".pt") || path.ends_with(".pth"),
                    "save_tree: expected a name that ends with .pt or .pth, got ",
                    detail::shown_path(path));
  detail::check_to_save(tree, "", 0);
  detail::with_problem(detail::Problem::kCannotBeWritten, [&] {
    detail::NewFile file(path);
    detail::write_torch_zip([&](std::string_view bytes) { file.write(bytes); }, tree);
    file.commit();
  });
}

Tree load_tree(const std::string& path) {
  try {
    return detail::read_tree(detail::with_problem(detail::problem_of_opening(path),
                                                  [&] { return detail::MappedFile::open(path); }));
  } catch (const CheckpointError& error) {
    // The readers of files call themselves by the function that they were written for.
    constexpr std::string_view kReader = "load_checkpoint";
    std::string text = error.what_without_backtrace();
    if (text.starts_with(kReader)) text = "load_tree" + text.substr(kReader.size());
    throw CheckpointError(error.problem(), std::move(text));
  } catch (const std::bad_alloc&) {
    throw CheckpointError(detail::Problem::kUnsupported, "load_tree: " + detail::shown_path(path) +
                                                             ": no memory for what it lists");
  }
}

}  // namespace convkit

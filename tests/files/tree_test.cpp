#include <convkit/checkpoint.h>
#include <convkit/tree.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <cmath>
#include <map>

using namespace convkit;

namespace {

std::string path(const std::string& name) {
  return (parity::folder() / "trees" / name).string();
}

/// The tree of tests/parity/trees.py, with Python's classes.
Tree good() {
  const torch::Tensor shared = torch::arange(6.0);
  Tree tree = Tree::dict();
  tree.set("none", Tree());
  tree.set("yes", true);
  tree.set("no", false);
  tree.set("int", -5);
  tree.set("large", int64_t{1} << 62);
  tree.set("real", 0.1);
  tree.set("infinity", INFINITY);
  tree.set("text", "zw\u00f6lf \U0001f600");
  tree.set("list", Tree::list({1, Tree::list({2, "x"}), Tree::list()}));
  tree.set("tuple", Tree::tuple({0.9, 0.999}));
  tree.set("empty", Tree::dict());
  tree.set(3, "three");
  Tree deep = Tree::dict();
  Tree deeper = Tree::dict();
  deeper.set("er", 1);
  deep.set("deep", Tree::list({deeper}));
  tree.set(-4, deep);
  StateDict ordered;
  ordered.insert("weight", torch::ones({2, 3}));
  ordered.insert("bias", shared.slice(0, 2, 4));
  tree.set("ordered", ordered);
  tree.set("shared", shared.view({2, 3}).t());
  Tree counter = Tree::counter();
  counter.set(1, 1);
  counter.set(5, 2);
  tree.set("counter", counter);
  tree.set("half", torch::tensor(0.5, torch::kBFloat16));
  return tree;
}

bool same(const Tree& a, const Tree& b) {
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Tree::Kind::kNone:
      return true;
    case Tree::Kind::kBool:
      return a.boolean() == b.boolean();
    case Tree::Kind::kInt:
      return a.integer() == b.integer();
    case Tree::Kind::kFloat:
      return a.number() == b.number();
    case Tree::Kind::kText:
      return a.text() == b.text();
    case Tree::Kind::kTensor:
      return a.tensor().strides() == b.tensor().strides() &&
             a.tensor().dtype() == b.tensor().dtype() && torch::equal(a.tensor(), b.tensor());
    case Tree::Kind::kList:
      return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                        same);
    case Tree::Kind::kDict:
      return std::equal(a.entries().begin(), a.entries().end(), b.entries().begin(),
                        b.entries().end(), [](const Tree::Entry& x, const Tree::Entry& y) {
                          return x.key == y.key && same(x.value, y.value);
                        });
  }
  return false;
}

}  // namespace

TEST_CASE("a tree is what torch.save has written, in both formats, and goes back", "[tree]") {
  for (const char* file : {"good.pt", "good_legacy.pt"}) {
    INFO(file);
    const Tree loaded = load_tree(path(file));
    CHECK(same(loaded, good()));
    CHECK(loaded.at("shared").tensor().storage().data() ==
          loaded.at("ordered").at("bias").tensor().storage().data());
    CHECK(loaded.at("ordered").state_dict().keys() == std::vector<std::string>{"weight", "bias"});
  }
  save_tree(path("back.pt"), good());
  CHECK(same(load_tree(path("back.pt")), good()));
}

TEST_CASE("long lists of what has no place of its own in a file are read", "[tree]") {
  const support::Folder folder;
  for (const Tree& value : {Tree(), Tree(true), Tree("a"), Tree(7)}) {
    save_tree(folder / "long.pt", Tree::list(std::vector<Tree>(100'000, value)));
    const Tree read = load_tree(folder / "long.pt");
    CHECK(read.items().size() == 100'000);
    CHECK(read.items().back().kind() == value.kind());
  }
}

TEST_CASE("what no tree has is refused, however it is nested", "[tree]") {
  const std::map<std::string, std::string> bad = {
      {"deep", "more than 100 levels"},
      {"cycle", "more than 100 levels"},
      {"many", "hold each other too often"},
      {"repeated", "texts that are repeated too often"},
      {"object", "under \"args\", got an object of another class"},
      {"bigint", "under \"0\", got a whole number above 64 bits"},
      {"bytes", "under \"b\", got an object of another class"},
      {"key", "a key that is neither text nor whole number"},
      {"sparse", "under \"0\", got a sparse tensor"},
  };
  for (const auto& [name, text] : bad) {
    INFO(name);
    try {
      load_tree(path(name + ".pt"));
      FAIL_CHECK("no error");
    } catch (const CheckpointError& error) {
      CHECK(error.problem() == CheckpointError::Problem::kUnsupported);
      CHECK_THAT(error.what_without_backtrace(), Catch::Matchers::ContainsSubstring(text));
    }
  }
  const auto says = [](const auto& f, const std::string& text) {
    CHECK_THAT(support::error(f), Catch::Matchers::ContainsSubstring(text));
  };
  says([] { load_tree("no such file.pt"); }, "load_tree: ");
  const support::Folder folder;
  support::write_file(folder / "x.pt", "hello, this is no file of torch.save");
  says([&] { load_tree(folder / "x.pt"); }, " is no file of torch.save");
  Tree deep = Tree::list();
  for (int i = 0; i < 101; ++i) deep = Tree::list({deep});
  says([&] { save_tree(folder / "deep.pt", deep); },
       "save_tree: expected at most 100 levels of lists and dicts, got more");
  says([&] { save_tree(folder / "deep.txt", deep); },
       "save_tree: expected a name that ends with .pt or .pth");
  says([&] { save_tree(folder / "t.pt", Tree::list({torch::ones({2}).to_sparse()})); },
       "save_tree: expected a dense tensor under \"0\"");
  says([&] { save_tree(folder / "u.pt", "\xff"); }, "save_tree: expected texts in UTF-8");
  CHECK_FALSE(fs::exists(folder / "deep.pt"));
  says([] { (void)Tree(3).text(); }, "Tree: expected a text, got a whole number");
  says([] { (void)Tree::dict().at("lr"); },
       "Tree: expected the key \"lr\", got a dict of 0 others");
}

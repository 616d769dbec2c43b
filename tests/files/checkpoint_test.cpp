#include <convkit/checkpoint.h>
#include <convkit/convkit.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <torch/nn/modules/linear.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <sstream>
#include <thread>

using namespace convkit;
using nlohmann::json;
using support::Folder;
using support::hex;
using support::mapped_file;
using support::read_file;
using support::write_file;

namespace {

/// A .safetensors file by hand.
std::string safetensors(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header + data;
}

/// Two texts after which libstdc++'s std::hash<std::string>, MurmurHash64A, has the same state,
/// whatever came before: from differences that its multiplications carry into the highest bit.
std::pair<std::string, std::string> colliding_blocks() {
  constexpr uint64_t kMul = (uint64_t{0xc6a4a793} << 32) + 0x5bd1e995;
  uint64_t inverse = kMul;
  for (int i = 0; i < 7; ++i) inverse *= 2 - kMul * inverse;
  const auto mixed = [](uint64_t block) {
    block *= kMul;
    return (block ^ block >> 47) * kMul;
  };
  const uint64_t difference = (uint64_t{1} << 16) * inverse + (uint64_t{1} << 63);
  std::mt19937_64 random(1);
  std::pair<std::string, std::string> texts;
  for (int blocks = 0; blocks < 2;) {  // two flips of the highest bit cancel
    const uint64_t one = random() & 0x7f7f7f7f7f7f7f7f;
    const uint64_t other = one + difference;
    const bool ascii = (other & 0x8080808080808080) == 0;
    if (!ascii || (mixed(one) ^ mixed(other)) != uint64_t{1} << 63) continue;
    texts.first.append(reinterpret_cast<const char*>(&one), 8);
    texts.second.append(reinterpret_cast<const char*>(&other), 8);
    ++blocks;
  }
  return texts;
}

/// The files of tests/parity/checkpoints.py, and what Python makes of them.
json manifest() {
  return json::parse(read_file(parity::folder() / "checkpoints" / "manifest.json"));
}

/// Files that Python reads and we refuse, each with its reason.
const std::set<std::string>& stricter_than_python() {
  static const std::set<std::string> names = {
      "crafted_entry_list",               // a list for an object: serde's, not the format's
      "crafted_dtype_object",             // an object for a text: the same
      "crafted_two_names_escaped",        // the format says that names are unique; Python keeps one
      "crafted_two_metadata_keys",        // the same
      "crafted_zero_dimension_overflow",  // the strides of such a tensor overflow in torch
      "crafted_dimensions_65",            // LibTorch's iterators take 64
      "crafted_dimensions_100000",        // the same
  };
  return names;
}

}  // namespace

TEST_CASE("load_checkpoint() reads what Python wrote, bit for bit", "[checkpoint][parity]") {
  int count = 0;
  for (const json& entry : manifest()) {
    const std::string file = entry["file"];
    if (!entry.contains("tensors")) continue;
    if (stricter_than_python().contains(fs::path(file).stem())) continue;
    INFO(file);
    const Checkpoint checkpoint = load_checkpoint(parity::folder() / "checkpoints" / file);
    CHECK(checkpoint.metadata == entry["metadata"].get<std::map<std::string, std::string>>());
    REQUIRE(checkpoint.state.size() == entry["tensors"].size());
    for (const auto& [name, python] : entry["tensors"].items()) {
      const torch::Tensor* ours = checkpoint.state.find(name);
      const bool equal = ours != nullptr &&
                         python["dtype"] == c10::getDtypeNames(ours->scalar_type()).first &&
                         python["shape"] == ours->sizes().vec() && python["bytes"] == hex(*ours);
      if (!equal) FAIL_CHECK("tensor \"" << name << "\" differs");
    }
    ++count;

    // And back: byte for byte what Python wrote, where Python's own order is not random.
    const fs::path back = parity::folder() / "back" / file;
    save_checkpoint(back, checkpoint.state, {.metadata = checkpoint.metadata});
    if (entry["written"] && checkpoint.metadata.size() < 2) {
      const bool same = read_file(back) == read_file(parity::folder() / "checkpoints" / file);
      CHECK(same);
    }
  }
  CHECK(count >= 45);
}

TEST_CASE("load_checkpoint() refuses what Python refuses", "[checkpoint][parity]") {
  int refused = 0;
  for (const json& entry : manifest()) {
    const fs::path file = entry["file"].get<std::string>();
    const bool stricter = stricter_than_python().contains(file.stem());
    if (entry.contains("tensors") && !stricter) continue;
    INFO(file);
    const fs::path path = parity::folder() / "checkpoints" / file;
    const std::string error = support::error([&] { load_checkpoint(path); });
    CHECK_THAT(error, Catch::Matchers::StartsWith("load_checkpoint: " + path.string()));
    CHECK(error.size() < path.string().size() + 250);
    for (const char c : error) CHECK(static_cast<unsigned char>(c) >= ' ');
    ++refused;
  }
  CHECK(refused >= 140);
  CHECK(stricter_than_python().size() == 7);
}

TEST_CASE("names that were made to collide are refused, not looked up one by one",
          "[checkpoint][errors]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const auto [one, other] = colliding_blocks();
  StateDict state;
  for (int i = 0; i < 128; ++i) {
    std::string name;
    for (int bit = 0; bit < 7; ++bit) name += (i >> bit & 1) != 0 ? one : other;
    state.insert(name, torch::ones({1}));
  }
  REQUIRE(std::hash<std::string>()(state[0].key()) == std::hash<std::string>()(state[127].key()));
  for (const std::string& file : {folder / "x.safetensors", folder / "x.pt"}) {
    save_checkpoint(file, state);
    CHECK_THAT(
        support::error([&] { load_checkpoint(file); }),
        Catch::Matchers::ContainsSubstring(
            ": expected ordinary names, got over 100 that were made to share one hash, as "));
  }
}

TEST_CASE("each rule of the format has its sentence", "[checkpoint][errors]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const auto error = [&](const std::string& bytes) {
    write_file(path, bytes);
    const std::string text = support::error([&] { load_checkpoint(path); });
    const std::string begin = "load_checkpoint: " + path;
    REQUIRE(text.starts_with(begin));
    return text.substr(begin.size());
  };
  const auto entry = [&](const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
    return error(safetensors("{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape +
                                 ",\"data_offsets\":" + offsets + "}}",
                             "12345678"));
  };
  CHECK(error("") == " is empty, as an interrupted download leaves it: download it again");
  CHECK(error("abc") == ": expected at least 8 bytes, got 3");
  CHECK(error("\n<!DOCTYPE html>") ==
        " is a web page, as a failed download leaves it: download the file itself");
  CHECK(error("version https://git-lfs.github.com/spec/v1\n") ==
        " is a pointer of Git LFS: fetch the file itself by `git lfs pull`");
  CHECK(error("weights, weights") ==
        ": expected a .safetensors file, whose first 8 bytes give a header's length of at most "
        "100000000 bytes, got 3203031751750935927");
  CHECK(error(safetensors("{}", "").substr(0, 9)) ==
        ": expected a header of 2 bytes, as the first 8 bytes say, got a file that ends after 1 of "
        "them");
  CHECK(error(safetensors("{\"a\":tru}", "")) ==
        ": expected JSON in the header of a .safetensors file, got something else at byte 9");
  CHECK(error(safetensors("{\"a\":1}", "")) ==
        ": expected an object in the header of a .safetensors file, got a number for \"a\"");
  CHECK(entry("\"F32\"", "[2]", "[0,4]") == ": tensor \"a\": expected 8 bytes for F32 [2], got 4");
  CHECK(entry("\"F6_E2M3\"", "[2]", "[0,8]") ==
        ": tensor \"a\": expected a dtype that LibTorch has, got \"F6_E2M3\"");
  CHECK(
      entry("\"F32\"", "[2,-1]", "[0,8]") ==
      ": expected a list of whole numbers >= 0 as shape in the header of a .safetensors file, got "
      "a negative number for \"a\"");
  CHECK(entry("\"F32\"", "[4294967296,4294967296]", "[0,8]") ==
        ": tensor \"a\": expected fewer than 2^63 bytes, got [4294967296,4294967296]");
  CHECK(entry("\"F32\"", "[1]", "[4,8]") ==
        ": tensor \"a\": expected data_offsets that begin at 0, where the tensor before it ends, "
        "got 4");
  CHECK(
      entry("\"F32\"", "[1.5]", "[0,8]") ==
      ": expected a list of whole numbers >= 0 as shape in the header of a .safetensors file, got "
      "the number 1.5 for \"a\"");
  CHECK(error(safetensors("{\"a\":{\"dtype\":\"F32\"}}", "")) ==
        ": expected shape in the header of a .safetensors file, got none for \"a\"");
  CHECK(error(safetensors("{}", "1")) ==
        ": expected 0 bytes of tensors, as its header says, got 1");

  CHECK_THAT(support::error([&] { load_checkpoint(folder / "none.safetensors"); }),
             Catch::Matchers::EndsWith("none.safetensors: No such file or directory"));
  CHECK_THAT(support::error([&] { load_checkpoint(folder.path); }),
             Catch::Matchers::EndsWith(" is a folder"));
  ::mkfifo((folder / "pipe").c_str(), 0600);
  CHECK_THAT(support::error([&] { load_checkpoint(folder / "pipe"); }),
             Catch::Matchers::EndsWith(" is a device or pipe"));
}

TEST_CASE("a loaded tensor is the file's pages, and outlives everything else", "[checkpoint]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const torch::Tensor values = torch::randn({1000});
  save_checkpoint(path, StateDict({{"a", values}, {"b", values + 1}}));
  torch::Tensor a;
  {
    const Checkpoint checkpoint = load_checkpoint(path);
    a = checkpoint.state["a"];
    CHECK(mapped_file(a.const_data_ptr()) == path);
    CHECK_FALSE(a.is_alias_of(checkpoint.state["b"]));
  }
  CHECK(torch::equal(a, values));
  a.zero_();  // reaches neither the file nor another load
  CHECK(torch::equal(load_checkpoint(path).state["a"], values));

  a = load_checkpoint(path).state["a"];
  save_checkpoint(path, StateDict({{"a", values + 2}}));
  CHECK(torch::equal(a, values));
  CHECK(torch::equal(load_checkpoint(path).state["a"], values + 2));
  fs::remove(path);
  CHECK(torch::equal(a, values));
}

TEST_CASE("save_checkpoint() refuses what safetensors does not have", "[checkpoint][errors]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  write_file(path, "old");
  const torch::Tensor x = torch::randn({2, 3});
  const auto error = [&](const StateDict& state) {
    return support::error([&] { save_checkpoint(path, state); });
  };
  CHECK(
      error(StateDict({{"a", x}, {"b", x[1]}, {"c", x + 1}})) ==
      "save_checkpoint: expected tensors with memory of their own, but \"a\", \"b\" share theirs: "
      "leave all but one of them out, or write each whole by {.copy_shared = true}");
  CHECK(error(StateDict({{"a", x.to(torch::kComplexDouble)}})) ==
        "save_checkpoint: expected a dtype that safetensors has under \"a\", got ComplexDouble");
  CHECK(error(StateDict({{"a", x.to_sparse()}})) ==
        "save_checkpoint: expected a dense tensor under \"a\", got SparseCPUFloatType");
  CHECK(error(StateDict({{"a", torch::Tensor()}})) ==
        "save_checkpoint: expected a dense tensor under \"a\", got UndefinedType");
  CHECK(error(StateDict({{"__metadata__", x}})) ==
        "save_checkpoint: expected another name than \"__metadata__\", which safetensors keeps for "
        "itself");
  CHECK(error(StateDict({{"\xff", x}})) ==
        "save_checkpoint: expected names in UTF-8, got \"\\ufffd\"");
  CHECK(error(StateDict({{"a", torch::empty({}, c10::ScalarType::Float4_e2m1fn_x2)}})) ==
        "save_checkpoint: expected at least one dimension, whose pairs float4 packs, under \"a\", "
        "got "
        "none");
  CHECK(error(StateDict({{"a", at::_efficientzerotensor({2}, torch::kFloat)}})) ==
        "save_checkpoint: expected a dense tensor under \"a\", got CPUFloatType");
  CHECK_THAT(
      support::error([&] { save_checkpoint(folder / "x.h5", StateDict()); }),
      Catch::Matchers::StartsWith(
          "save_checkpoint: expected a name that ends with .safetensors, .pt or .pth, got "));
  CHECK_THAT(support::error([&] { save_checkpoint(folder / "no/x.safetensors", StateDict()); }),
             Catch::Matchers::EndsWith("no/x.safetensors: no new file in its folder: No such file "
                                       "or directory"));
  CHECK_THAT(support::error([&] {
               save_checkpoint(folder / std::string("x\0.safetensors", 14), StateDict());
             }),
             Catch::Matchers::StartsWith("save_checkpoint: expected the name of a file, got "));
  fs::create_directory(folder / "folder.safetensors");
  CHECK_THAT(support::error([&] { save_checkpoint(folder / "folder.safetensors", StateDict()); }),
             Catch::Matchers::EndsWith("folder.safetensors is a folder"));
  CHECK(read_file(path) == "old");
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 2);

  save_checkpoint(path, StateDict({{"a", x}, {"b", x[1]}}), {.copy_shared = true});
  CHECK(torch::equal(load_checkpoint(path).state["b"], x[1]));
}

TEST_CASE("shared_tensors() tells what overlaps from what lies side by side", "[checkpoint]") {
  const torch::Tensor x = torch::randn({4, 6});
  using Groups = std::vector<std::vector<std::string>>;
  CHECK(shared_tensors(StateDict({{"a", x[0]}, {"b", x[1]}, {"c", x.narrow(0, 2, 2)}})).empty());
  CHECK(shared_tensors(StateDict({{"z", x[3]}, {"all", x}, {"y", x[0]}, {"new", x + 1}})) ==
        Groups{{"all", "y", "z"}});
  CHECK(shared_tensors(StateDict({{"a", x.t()}, {"b", x[3][5]}, {"c", x.narrow(1, 0, 0)}})) ==
        Groups{{"a", "b"}});
  CHECK(shared_tensors(StateDict({{"a", x.to_sparse()},
                                  {"b", torch::Tensor()},
                                  {"c", torch::empty({2}, torch::kMeta)},
                                  {"d", at::_efficientzerotensor({2}, torch::kFloat)},
                                  {"e", at::_efficientzerotensor({2}, torch::kFloat)}}))
            .empty());
  const torch::Tensor y = torch::randn({2});
  CHECK(shared_tensors(StateDict({{"a", x}, {"b", y}, {"c", x}, {"d", y}})).size() == 2);
}

TEST_CASE("tensors are saved whatever their strides", "[checkpoint]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const torch::Tensor x = torch::randn({2, 3, 4, 5});
  const StateDict state({
      {"channels_last", x.contiguous(torch::MemoryFormat::ChannelsLast)},
      {"transposed", torch::randn({3, 4}).t()},
      {"expanded", torch::randn({3, 1}).expand({3, 4})},
      {"conjugate", torch::conj(torch::randn({3}, torch::kComplexFloat))},
      {"parameter", torch::randn({3}).requires_grad_()},
  });
  save_checkpoint(path, state);
  const StateDict loaded = load_checkpoint(path).state;
  CHECK(loaded.size() == state.size());
  for (const auto& entry : state) {
    INFO(entry.key());
    CHECK(loaded[entry.key()].is_contiguous());
    CHECK(torch::equal(loaded[entry.key()], entry.value().detach().resolve_conj()));
  }
}

TEST_CASE("a full disk leaves the old file, and nothing else", "[checkpoint]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  save_checkpoint(path, StateDict({{"a", torch::arange(4)}}));
  const std::string old = read_file(path);

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10'000, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error =
      support::error([&] { save_checkpoint(path, StateDict({{"a", torch::randn({10'000})}})); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(error == "save_checkpoint: cannot write " + path + ": File too large");
  CHECK(read_file(path) == old);
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("saving keeps a file's mode, and writes through a symbolic link", "[checkpoint]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  save_checkpoint(path, StateDict({{"a", torch::arange(4)}}));
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("x.safetensors", folder / "link.safetensors");
  save_checkpoint(folder / "link.safetensors", StateDict({{"b", torch::arange(4)}}));
  CHECK(fs::is_symlink(folder / "link.safetensors"));
  CHECK(load_checkpoint(path).state.contains("b"));
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));

  fs::create_symlink("new.safetensors", folder / "dangling.safetensors");
  save_checkpoint(folder / "dangling.safetensors", StateDict());
  CHECK(fs::is_symlink(folder / "dangling.safetensors"));
  CHECK(fs::is_regular_file(folder / "new.safetensors"));
  fs::create_symlink("loop.safetensors", folder / "loop.safetensors");
  CHECK_THAT(support::error([&] { save_checkpoint(folder / "loop.safetensors", StateDict()); }),
             Catch::Matchers::EndsWith("Too many levels of symbolic links"));

  const std::string longest = folder / (std::string(243, 'x') + ".safetensors");
  save_checkpoint(longest, StateDict());
  CHECK(load_checkpoint(longest).state.is_empty());
}

TEST_CASE("what may not be written is not replaced", "[checkpoint][errors]") {
  if (::geteuid() == 0) SKIP("root may write everything");
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  save_checkpoint(path, StateDict());
  fs::permissions(path, fs::perms::owner_read);
  CHECK_THAT(support::error([&] { save_checkpoint(path, StateDict()); }),
             Catch::Matchers::EndsWith("x.safetensors: Permission denied"));
}

TEST_CASE("a process killed while it saves leaves a whole file", "[checkpoint]") {
  const Folder folder;
  const std::string path = folder / "x.safetensors";
  const auto state = [](float value) {
    return StateDict({{"a", torch::full({300'000}, value)}, {"b", torch::full({7}, value)}});
  };
  save_checkpoint(path, state(0));
  std::mt19937 random(8);
  std::uniform_int_distribution<int> microseconds(0, 20'000);
  std::set<float> seen;
  for (int kill = 1; kill <= 100; ++kill) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      const StateDict first = state(static_cast<float>(kill));
      const StateDict second = state(static_cast<float>(-kill));
      for (;;) {
        save_checkpoint(path, first);
        save_checkpoint(path, second);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds(random)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);

    const StateDict loaded = load_checkpoint(path).state;
    const auto value = loaded["b"][0].item<float>();
    CHECK((loaded["a"] == value).all().item<bool>());
    CHECK((loaded["b"] == value).all().item<bool>());
    seen.insert(value);
  }
  CHECK(seen.size() > 10);  // the kills did meet saving processes
}

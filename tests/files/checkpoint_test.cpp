#include <convkit/checkpoint.h>
#include <convkit/convkit.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <torch/nn/modules/linear.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
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

TEST_CASE("files of other programs are called what they are", "[checkpoint][errors]") {
  const Folder folder;
  const auto kind = [&](const std::string& name, const std::string& bytes) {
    const std::string path = folder / name;
    write_file(path, bytes);
    const std::string text = support::error([&] { load_checkpoint(path); });
    const std::string begin = "load_checkpoint: " + path + " is ";
    REQUIRE_THAT(text, Catch::Matchers::StartsWith(begin));
    return text.substr(begin.size(), text.find(": ", begin.size()) - begin.size());
  };
  using namespace std::string_literals;
  const std::string zeros(64, '\0');
  CHECK(kind("a.onnx",
             "\x08\x07\x12\x07pytorch\x1a\x05"
             "1.1.0:\xff\x01"s +
                 zeros) == "an ONNX model");
  CHECK(kind("b.onnx",
             "\x08\x08"
             ":\xe8\x07\n\x20"s +
                 zeros) == "an ONNX model");
  CHECK(kind("saved_model.pb", "\x08\x01\x12\xff\x01\n\x20"s + zeros) ==
        "a SavedModel of TensorFlow");
  CHECK(kind("frozen.pb", "\n\x19\n\x05input\x12\x0bPlaceholder"s + zeros) ==
        "a graph of TensorFlow");
  CHECK(kind("model.ckpt.index", zeros + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"s) ==
        "a part of a checkpoint of TensorFlow");
  CHECK(kind("model.ckpt.data-00000-of-00001", "\x9a\x99\x19\x3e\x9a\x99\x19\x3f"s + zeros) ==
        "a part of a checkpoint of TensorFlow");
  CHECK(kind("a.tflite", "\x1c\0\0\0TFL3"s + zeros) == "a TensorFlow Lite model");
  CHECK(kind("a.pte", "\x1c\0\0\0ET12"s + zeros) == "an ExecuTorch program");
  CHECK(kind("a.h5", "\x89HDF\r\n\x1a\n"s + zeros) == "an HDF5 file, as Keras writes it");
  CHECK(kind("a.gguf", "GGUF\3\0\0\0"s + zeros) == "a GGUF file");
  CHECK(kind("a.npy", "\x93NUMPY\1\0"s + zeros) == "a NumPy array");
  CHECK(kind("a.tar", std::string(257, '\0') + "ustar" + zeros) == "a tar archive");
  CHECK(kind("a.gz", "\x1f\x8b\x08\0"s + zeros) == "compressed by gzip");
  CHECK(kind("a.bz2", "BZh91AY&SY"s + zeros) == "compressed by bzip2");
  CHECK(kind("a.xz",
             "\xfd"
             "7zXZ\0\0\4"s +
                 zeros) == "compressed by xz");
  CHECK(kind("a.zst", "\x28\xb5\x2f\xfd\4\0\0\0"s + zeros) == "compressed by zstd");
  CHECK(kind("a.7z", "7z\xbc\xaf\x27\x1c\0\4"s + zeros) == "a 7z archive");
  CHECK(kind("a.rar", "Rar!\x1a\7\0\0"s + zeros) == "a RAR archive");
  CHECK(kind("a.json", "{\"lr\": 0.5, \"epoch\": 3}") ==
        "a text file of JSON, perhaps the index of several .safetensors files");
}

TEST_CASE("a program can tell the problems of files apart", "[checkpoint][errors]") {
  using Problem = CheckpointError::Problem;
  const Folder folder;
  const auto problem = [](const auto& call) {
    try {
      call();
    } catch (const CheckpointError& error) {
      CHECK(error.candidates().empty());
      return error.problem();
    }
    throw std::runtime_error("no CheckpointError");
  };
  const auto of_bytes = [&](const std::string& bytes) {
    write_file(folder / "x", bytes);
    const Problem found = problem([&] { load_checkpoint(folder / "x"); });
    CHECK(problem([&] { load_checkpoint(std::as_bytes(std::span(bytes))); }) == found);
    std::istringstream stream(bytes);
    CHECK(problem([&] { load_checkpoint(stream); }) == found);
    return found;
  };
  CHECK(problem([&] { load_checkpoint(folder / "none.pt"); }) == Problem::kNotFound);
  CHECK(problem([&] { load_checkpoint(folder.path); }) == Problem::kNotACheckpoint);
  std::ifstream none(folder / "none.pt");
  CHECK(problem([&] { load_checkpoint(none); }) == Problem::kNotFound);
  CHECK(of_bytes("<!DOCTYPE html>") == Problem::kNotACheckpoint);
  CHECK(of_bytes("\x80\x02K\x05.") == Problem::kNotACheckpoint);
  CHECK(of_bytes("weights, weights") == Problem::kNotACheckpoint);
  CHECK(of_bytes("") == Problem::kDamaged);
  CHECK(of_bytes(safetensors("{\"a\":1}", "")) == Problem::kDamaged);
  CHECK(of_bytes(safetensors("{\"a\":{\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]}}",
                             "123")) == Problem::kUnsupported);
  save_checkpoint(folder / "x.pt", StateDict({{"a", torch::arange(4)}}));
  const std::string whole = read_file(folder / "x.pt");
  CHECK(of_bytes(whole.substr(0, whole.size() / 2)) == Problem::kDamaged);

  const StateDict state({{"a", torch::arange(4)}});
  CHECK(problem([&] { save_checkpoint(folder / "no/x.pt", state); }) == Problem::kCannotBeWritten);
  CHECK(problem([&] { save_checkpoint("/dev/null/x.safetensors", state); }) ==
        Problem::kCannotBeWritten);
  std::ofstream full("/dev/full");
  CHECK(problem([&] { save_checkpoint(full, state, ".pt"); }) == Problem::kCannotBeWritten);
  std::ofstream strict("/dev/full");
  strict.exceptions(std::ios::failbit | std::ios::badbit);
  CHECK(problem([&] { save_checkpoint(strict, state, ".pt"); }) == Problem::kCannotBeWritten);

  // Bad options are errors of the caller's.
  CHECK_THROWS_AS(load_checkpoint(folder / "x.pt", {.at = "b"}), c10::ValueError);
  CHECK_THROWS_AS(save_checkpoint(folder / "x.h5", state), c10::ValueError);
  CHECK_THROWS_AS(save_checkpoint(state, "pt"), c10::ValueError);
}

TEST_CASE("checkpoints come from memory and go there", "[checkpoint]") {
  const Folder folder;
  const torch::Tensor x = torch::randn({5, 3});
  for (const std::string extension : {".safetensors", ".pt", ".pth"}) {
    const StateDict state({{"x", x}, {"t", x.t().to(torch::kDouble)}, {"n", torch::tensor(7)}});
    save_checkpoint(folder / ("file" + extension), state);
    const std::string file = read_file(folder / ("file" + extension));
    std::vector<std::byte> bytes = save_checkpoint(state, extension);
    CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == file);
    std::stringstream stream;
    stream << "before";
    save_checkpoint(stream, state, extension);
    CHECK(stream.str() == "before" + file);
    std::istringstream strict(file);
    strict.exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
    CHECK(torch::equal(load_checkpoint(strict).state["x"], x));

    // The bytes lie at an odd place, and vanish.
    bytes.insert(bytes.begin(), std::byte{0});
    const StateDict read = load_checkpoint(std::span(bytes).subspan(1)).state;
    std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
    stream.ignore(6);
    const StateDict streamed = load_checkpoint(stream).state;
    CHECK(read.size() == 3);
    CHECK(streamed.size() == 3);
    for (const auto& entry : state) {
      CHECK(torch::equal(read[entry.key()], entry.value()));
      CHECK(torch::equal(streamed[entry.key()], entry.value()));
    }
  }
  const std::vector<std::byte> with_metadata =
      save_checkpoint(StateDict({{"x", x}}), ".safetensors", {.metadata = {{"epoch", "3"}}});
  CHECK(load_checkpoint(with_metadata).metadata.at("epoch") == "3");
  CHECK(load_checkpoint(with_metadata, {.everything = true}).state.size() == 1);
  CHECK(support::error([&] {
          save_checkpoint(StateDict(), ".safetensors", {.max_shard_size = 5});
        }) == "save_checkpoint: expected no max_shard_size, which only files have, got 5");
  const std::string index = "{\"weight_map\": {\"a\": \"model-00001-of-00002.safetensors\"}}";
  CHECK_THAT(support::error([&] { load_checkpoint(std::as_bytes(std::span(index))); }),
             Catch::Matchers::StartsWith("load_checkpoint: the buffer is a text file of JSON, "));
}

TEST_CASE("sharded checkpoints are written and read", "[checkpoint][parity]") {
  const Folder folder;
  const std::string index = folder / "model.safetensors.index.json";
  StateDict state;
  for (int i = 0; i < 9; ++i) {
    const std::string digit = std::to_string(i);
    state.insert("layer." + digit + ".w\u00fc", torch::full({4 + i}, i, torch::kFloat));
  }
  state.insert("large", torch::randn({100}));
  state.insert("last", torch::ones({2}, torch::kLong));
  const auto check = [&](const Checkpoint& read) {
    CHECK(read.state.size() == state.size());
    for (const auto& entry : state) CHECK(torch::equal(read.state[entry.key()], entry.value()));
  };
  save_checkpoint(folder / "model.safetensors", state,
                  {.metadata = {{"epoch", "3"}}, .max_shard_size = 80});
  CHECK_FALSE(fs::exists(folder / "model.safetensors"));
  CHECK(fs::exists(folder / "model-00001-of-00006.safetensors"));
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 7);
  const Checkpoint read = load_checkpoint(index);
  check(read);
  CHECK(read.metadata == std::map<std::string, std::string>{
                             {"epoch", "3"}, {"format", "pt"}, {"total_size", "704"}});
  CHECK(load_checkpoint(index, {.at = "layer.3"}).state.keys() ==
        std::vector<std::string>{"w\u00fc"});
  // Over themselves, from their own maps.
  save_checkpoint(folder / "model.safetensors", read.state, {.max_shard_size = 80});
  check(load_checkpoint(index));
  save_checkpoint(folder / "one.safetensors", state, {.max_shard_size = 1000});
  check(load_checkpoint(folder / "one.safetensors"));
  CHECK_FALSE(fs::exists(folder / "one.safetensors.index.json"));
  // Of the file and its index one remains.
  save_checkpoint(folder / "one.safetensors", state, {.max_shard_size = 80});
  CHECK_FALSE(fs::exists(folder / "one.safetensors"));
  CHECK(support::error([&] { load_checkpoint(folder / "one.safetensors"); }) ==
        "load_checkpoint: there is no " + (folder / "one.safetensors") +
            ", but the index of its shards: load " + (folder / "one.safetensors.index.json"));
  fs::remove(folder / "one-00002-of-00006.safetensors");
  try {
    load_checkpoint(folder / "one.safetensors.index.json");
    FAIL_CHECK("a missing shard");
  } catch (const CheckpointError& error) {
    CHECK(error.problem() == CheckpointError::Problem::kDamaged);
  }
  save_checkpoint(folder / "one.safetensors", state, {.max_shard_size = 1000});
  check(load_checkpoint(folder / "one.safetensors"));
  CHECK_FALSE(fs::exists(folder / "one.safetensors.index.json"));

  // tests/parity/back.py reads these in Python, and compares them with what huggingface_hub writes.
  for (const uint64_t limit : {80, 100, 200, 400, 5000}) {
    const fs::path back = parity::folder() / "back" / ("shards_" + std::to_string(limit));
    fs::remove_all(back);
    fs::create_directories(back);
    save_checkpoint(back / "model.safetensors", state, {.max_shard_size = limit});
    save_checkpoint(back.string() + ".pt", state);
  }

  const fs::path theirs = parity::folder() / "checkpoints" / "shards";
  const Checkpoint hub = load_checkpoint(theirs / "model.safetensors.index.json");
  const Checkpoint whole = load_checkpoint(theirs / "whole");
  CHECK(hub.state.size() == whole.state.size());
  for (const auto& entry : whole.state) {
    CHECK(torch::equal(hub.state[entry.key()], entry.value()));
  }
  CHECK(hub.metadata == std::map<std::string, std::string>{
                            {"epoch", "3"}, {"format", "pt"}, {"total_size", "752"}});

  CHECK(support::error([&] { save_checkpoint("x.pt", state, {.max_shard_size = 5}); }) ==
        "save_checkpoint: expected no max_shard_size for a .pt or .pth file, which is always one, "
        "got 5");
}

TEST_CASE("an index names the files beside it, and all of their tensors", "[checkpoint][errors]") {
  const Folder folder;
  const std::string index = folder / "m.safetensors.index.json";
  const auto error = [&](const std::string& text) {
    write_file(index, text);
    const std::string thrown = support::error([&] { load_checkpoint(index); });
    const std::string begin = "load_checkpoint: " + index;
    return thrown.starts_with(begin) ? thrown.substr(begin.size()) : thrown;
  };
  const auto of = [](const std::string& map) { return "{\"weight_map\": {" + map + "}}"; };
  save_checkpoint(folder / "s1.safetensors",
                  StateDict({{"a", torch::ones(2)}, {"b", torch::ones(3)}}));
  save_checkpoint(folder / "s2.pt", StateDict({{"c", torch::zeros(4)}}));
  CHECK(error(of(R"("a": "s1.safetensors", "c": "s2.pt", "b": "s1.safetensors")")) == "no error");
  CHECK(load_checkpoint(index).state.keys() == std::vector<std::string>{"a", "b", "c"});
  CHECK(error(of(R"("a": "s1.safetensors")")) ==
        ": expected only the tensors that it lists in s1.safetensors, got \"b\"");
  CHECK(error(of(R"("a": "s1.safetensors", "b": "s1.safetensors", "x": "s1.safetensors")")) ==
        ": expected \"x\" in s1.safetensors, got none");
  CHECK(error(of(R"("a": "s3.safetensors")")) ==
        ": cannot open " + (folder / "s3.safetensors") + ": No such file or directory");
  for (const char* name :
       {"../s1.safetensors", "/etc/passwd", "", ".", "..", "a/b", "a\\\\b", "a\\u0000b"}) {
    CHECK_THAT(error(of("\"a\": \"" + std::string(name) + "\"")),
               Catch::Matchers::StartsWith(
                   ": expected the name of a file in the same folder for \"a\", got "));
  }
  CHECK(error(of(R"("a": ["s1.safetensors"])")) ==
        ": expected the name of a file in the same folder for \"a\", got something else");
  CHECK(error(of("\"a\": \"m.safetensors.index.json\"")).starts_with(" is a text file of JSON, "));
  CHECK(error(R"({"weight_map": 1})") ==
        ": expected an object with \"weight_map\", the index of shards, got another");
  CHECK(error("{\"weight_map\": {") ==
        ": expected an object with \"weight_map\", the index of shards, got no JSON");
  CHECK(error("{\"weight_map\": " + std::string(100'000, '[')) ==
        ": expected an object with \"weight_map\", the index of shards, got no JSON");
  CHECK(error("{\"weight_map\": {}, \"metadata\": {\"a\": {\"b\": [1]}, \"total_size\": 0}}") ==
        "no error");
  CHECK(load_checkpoint(index).metadata == std::map<std::string, std::string>{{"total_size", "0"}});
  write_file(folder / "s1.safetensors", "<html>");
  CHECK(error(of(R"("a": "s1.safetensors")"))
            .starts_with("load_checkpoint: " + (folder / "s1.safetensors") + " is a web page"));
}

TEST_CASE("a full disk leaves the old shards", "[checkpoint]") {
  const Folder folder;
  const std::string path = folder / "m.safetensors";
  const SaveCheckpointOptions options{.max_shard_size = 100};
  save_checkpoint(path, StateDict({{"a", torch::ones(20)}, {"b", torch::ones(20)}}), options);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{10'000, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string error = support::error([&] {
    save_checkpoint(path, StateDict({{"a", torch::zeros(20)}, {"b", torch::zeros(10'000)}}),
                    options);
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK_THAT(error, Catch::Matchers::EndsWith("m-00001-of-00002.safetensors: File too large"));
  CHECK(std::distance(fs::directory_iterator(folder.path), {}) == 3);
  CHECK(load_checkpoint(path + ".index.json").state["a"].sum().item<float>() == 20);
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
  // A busy machine needs more than a hundred for enough of them to meet a process that saves.
  for (int kill = 1; kill <= 100 || (seen.size() <= 10 && kill <= 1000); ++kill) {
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

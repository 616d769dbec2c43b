#include <convkit/checkpoint.h>
#include <convkit/convkit.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <algorithm>
#include <functional>
#include <map>

using namespace convkit;
using nlohmann::json;
using support::Folder;

namespace {

/// The files of tests/parity/torch_files.py, or of layouts.py, and what they hold.
json manifest(const std::string& folder = "torch_files") {
  return json::parse(support::read_file(parity::folder() / folder / "manifest.json"));
}

fs::path path_of(const json& entry) {
  return parity::folder() / "torch_files" / entry["file"].get<std::string>();
}

/// Whether a tensor is the one that Python describes, bit for bit, at its strides.
bool is_python(const torch::Tensor& ours, const json& python) {
  const torch::Tensor plain = ours.resolve_conj().resolve_neg();
  return python["dtype"] == c10::getDtypeNames(ours.scalar_type()).first &&
         python["shape"] == ours.sizes().vec() && python["stride"] == ours.strides().vec() &&
         python["bytes"] == support::hex(plain);
}

void check_tensors(const StateDict& state, const json& tensors) {
  CHECK(state.size() == tensors.size());
  for (const auto& [name, python] : tensors.items()) {
    const torch::Tensor* ours = state.find(name);
    if (ours == nullptr || !is_python(*ours, python)) {
      FAIL_CHECK("tensor \"" << name << "\" differs");
    }
  }
}

/// The groups of names that have one storage.
json shared_storages(const StateDict& state) {
  std::map<const void*, std::vector<std::string>> groups;
  for (const auto& entry : state) {
    const torch::Storage& storage = entry.value().storage();
    if (storage.nbytes() > 0) groups[storage.data()].push_back(entry.key());
  }
  json result = json::array();
  for (auto& [storage, names] : groups) {
    std::sort(names.begin(), names.end());
    if (names.size() > 1) result.push_back(names);
  }
  std::sort(result.begin(), result.end());
  return result;
}

/// Files that Python's weights_only=True refuses and we read, and the other way round. Names of
/// groups end with a star.
struct Difference {
  const char* file;
  const char* why;
};

constexpr Difference kReadByUs[] = {
    {"crafted_call_beside_*", "a class that is not on Python's list is an object without use"},
    {"crafted_build_*", "the same"},
    {"crafted_pickle_build_on_dict.pt", "the state of a plain dict, which has none, is left aside"},
    {"crafted_pickle_key_not_utf8.pt", "texts are not decoded"},
    {"crafted_legacy_pickle_key_not_utf8.pt", "the same"},
    {"crafted_pickle_number_line.pt", "Python 2 wrote numbers above 31 bits so"},
    {"crafted_legacy_pickle_number_line.pt", "the same"},
    {"crafted_zip_no_version.pt", "the version of the zip file says nothing that is needed"},
};

constexpr Difference kReadByPython[] = {
    {"crafted_zip_really_deflated.pt", "torch.save never compresses"},
    {"crafted_pickle_ordered_broken_pairs.pt", "Python takes tensors apart for pairs"},
    {"crafted_legacy_pickle_ordered_broken_pairs.pt", "the same"},
    {"crafted_same_name_*", "two tensors would have one name"},
    {"crafted_overlapping_records.pt", "each would be a copy of its own"},
    {"crafted_zip_big_endian.pt", "Python turns the bytes round"},
    {"crafted_legacy_big_endian.pt", "the same"},
    {"crafted_legacy_no_keys.pt", "Python leaves the numbers uninitialised"},
    {"crafted_legacy_view_beyond.pt", "Python cuts the view"},
    {"crafted_tensor_strides_none.pt", "torch.save always writes strides"},
    {"crafted_legacy_tensor_strides_none.pt", "the same"},
    {"crafted_tensor_empty_far_away.pt", "Python checks no offset of an empty tensor"},
    {"crafted_legacy_tensor_empty_far_away.pt", "the same"},
    {"crafted_tensor_empty_overflow.pt", "nor its sizes"},
    {"crafted_legacy_tensor_empty_overflow.pt", "the same"},
    {"crafted_tensor_dimensions_*", "LibTorch's iterators take 64"},
    {"crafted_legacy_tensor_dimensions_*", "the same"},
    {"crafted_legacy_tensor_storage_short.pt", "Python believes the later of two sizes"},
    {"crafted_legacy_tensor_storage_zero.pt", "the same"},
    {"crafted_tensor_two_sizes.pt", "Python believes the first of two sizes"},
    {"crafted_legacy_tensor_two_sizes.pt", "the same"},
    {"crafted_tensor_two_types.pt", "Python believes the first of two types"},
    {"crafted_legacy_tensor_two_types.pt", "the same"},
    {"crafted_tensor_v3_quantized.pt", "quantized tensors are not ours"},
};

template <std::size_t N>
bool among(const Difference (&list)[N], const std::string& file) {
  return std::any_of(std::begin(list), std::end(list), [&](const Difference& difference) {
    const std::string_view name = difference.file;
    return name.ends_with('*') ? file.starts_with(name.substr(0, name.size() - 1)) : file == name;
  });
}

}  // namespace

TEST_CASE("load_checkpoint() reads what torch.save wrote, bit for bit", "[torch_file][parity]") {
  int count = 0;
  for (const json& entry : manifest()) {
    if (entry.contains("crafted")) continue;
    const std::string file = entry["file"];
    INFO(file);
    const json& options = entry["options"];
    const Checkpoint checkpoint = load_checkpoint(
        path_of(entry),
        {.at = options.value("at", ""), .everything = options.value("everything", false)});
    check_tensors(checkpoint.state, entry["tensors"]);
    CHECK(shared_storages(checkpoint.state) == entry["shared"]);
    CHECK(checkpoint.metadata == entry["texts"].get<std::map<std::string, std::string>>());
    ++count;

    // And back: tests/parity/back.py reads it in Python.
    save_checkpoint(parity::folder() / "back" / file, checkpoint.state);
    const Checkpoint again = load_checkpoint(parity::folder() / "back" / file);
    check_tensors(again.state, entry["tensors"]);
    CHECK(shared_storages(again.state) == entry["shared"]);
    CHECK(again.state.keys() == checkpoint.state.keys());
  }
  CHECK(count >= 80);
}

TEST_CASE("load_checkpoint() finds the state_dict in checkpoints of any layout, or asks",
          "[torch_file][parity]") {
  int chosen = 0;
  int asked = 0;
  for (const json& entry : manifest("layouts")) {
    const std::string file = entry["file"];
    const std::string path = parity::folder() / "layouts" / file;
    INFO(file);
    if (entry.contains("tensors")) {
      const Checkpoint checkpoint = load_checkpoint(path);
      CHECK(checkpoint.state.keys() == entry["keys"].get<std::vector<std::string>>());
      check_tensors(checkpoint.state, entry["tensors"]);
      for (const auto& [key, text] : checkpoint.metadata) {
        INFO(key);
        for (const char* inner : {"_content", "_metadata", "_parent", "__", "_val."}) {
          CHECK(key.find(inner) == std::string::npos);
        }
      }
      ++chosen;
      continue;
    }
    try {
      load_checkpoint(path);
      FAIL_CHECK("something was taken");
    } catch (const CheckpointError& error) {
      const bool choice = entry.contains("candidates");
      CHECK(error.problem() == (choice ? CheckpointError::Problem::kNeedsAChoice
                                       : CheckpointError::Problem::kNotACheckpoint));
      json candidates = json::array();
      for (const auto& [at, tensors] : error.candidates()) {
        candidates.push_back({at, tensors});
        // What is advised gives as much.
        CHECK(load_checkpoint(path, {.at = at}).state.size() == tensors);
      }
      CHECK(candidates == entry.value("candidates", json::array()));
      ++asked;
    }
  }
  CHECK(chosen >= 70);
  CHECK(asked >= 25);

  const auto layout = [](const std::string& name) {
    return load_checkpoint(parity::folder() / "layouts" / (name + ".pt"));
  };
  const auto metadata = layout("lightning_omegaconf").metadata;
  CHECK(metadata.at("hyper_parameters.optim.lr") == "0.1");
  CHECK(metadata.at("hyper_parameters.optim.sched.name") == "cosine");
  CHECK(metadata.at("hyper_parameters.layers") == "3");
  CHECK(layout("swin").metadata.at("config.DATA.BATCH_SIZE") == "128");
  CHECK(layout("timm").metadata.at("args.arch") == "resnet18");
  CHECK(support::error([&] { layout("dino"); }) ==
        "load_checkpoint: " + (parity::folder() / "layouts/dino.pt").string() +
            ": expected one state_dict, got \"student\" (7 tensors), \"teacher\" (7 tensors), "
            "\"dino_loss\" (1 tensor): choose by {.at = \"student\"}");
  CHECK_THAT(
      support::error([&] { layout("metrics_alone"); }),
      Catch::Matchers::EndsWith(
          ": expected one state_dict, got none, but \"metrics\" (1 tensor): choose by {.at = "
          "\"metrics\"}"));
}

TEST_CASE("load_checkpoint() refuses and reads what torch.load(weights_only=True) does",
          "[torch_file][parity]") {
  int refused = 0;
  int read = 0;
  for (const json& entry : manifest()) {
    if (!entry.contains("crafted")) continue;
    const std::string file = entry["file"];
    const fs::path path = path_of(entry);
    INFO(file << ", Python: " << entry.value("error", "reads it"));
    Checkpoint checkpoint;
    const std::string error =
        support::error([&] { checkpoint = load_checkpoint(path, {.everything = true}); });
    INFO("ours: " << error);
    const bool python_reads = entry.contains("tensors");
    if (error == "no error") {
      CHECK((python_reads || among(kReadByUs, file)));
      if (python_reads) check_tensors(checkpoint.state, entry["tensors"]);
      ++read;
    } else {
      // What has no tensor is an error of ours.
      CHECK((!python_reads || entry["tensors"].empty() || among(kReadByPython, file)));
      CHECK(error.starts_with("load_checkpoint: " + path.string()));
      CHECK(error.size() < path.string().size() + 700);
      CHECK(std::none_of(error.begin(), error.end(),
                         [](unsigned char c) { return c < ' ' || c == 0x7f; }));
      ++refused;
    }
  }
  CHECK(refused >= 300);
  CHECK(read >= 20);
  CHECK_FALSE(fs::exists("/convkit-was-here"));
}

TEST_CASE("load_checkpoint() reads LibTorch's own archives", "[torch_file]") {
  const Folder folder;
  torch::nn::Sequential net{torch::nn::Linear(3, 4), torch::nn::BatchNorm2d(4)};
  torch::save(net, folder / "module.pt");
  const StateDict module = load_checkpoint(folder / "module.pt").state;
  const StateDict expected = state_dict(*net);
  CHECK(module.keys() == expected.keys());
  for (const auto& entry : expected) CHECK(torch::equal(module[entry.key()], entry.value()));

  const torch::Tensor x = torch::randn({3});
  torch::save(x, folder / "tensor.pt");
  CHECK(torch::equal(load_checkpoint(folder / "tensor.pt").state["0"], x));
  torch::save(std::vector<torch::Tensor>{x, x + 1}, folder / "list.pt");
  CHECK(torch::equal(load_checkpoint(folder / "list.pt").state["1"], x + 1));
  torch::serialize::OutputArchive archive;
  archive.write("weight", x);
  archive.write("mean", x + 1, /*is_buffer=*/true);
  archive.write("epoch", c10::IValue(7));
  archive.write("history", c10::IValue(std::vector<torch::Tensor>{x, x}));
  archive.save_to(folder / "archive.pt");
  CHECK(load_checkpoint(folder / "archive.pt").state.keys() ==
        std::vector<std::string>{"weight", "mean"});
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  net[0]->as<torch::nn::Linear>()->forward(x).sum().backward();
  optimizer.step();
  torch::save(optimizer, folder / "optimizer.pt");
  CHECK_THAT(support::error([&] { load_checkpoint(folder / "optimizer.pt"); }),
             Catch::Matchers::ContainsSubstring(": expected one state_dict, got none, but "));
  c10::Dict<std::string, torch::Tensor> dict;
  dict.insert("x", x);
  const std::vector<char> pickled = torch::pickle_save(dict);
  support::write_file(folder / "dict.pt", std::string(pickled.begin(), pickled.end()));
  CHECK(torch::equal(load_checkpoint(folder / "dict.pt").state["x"], x));
}

TEST_CASE("a tensor of a .pt file is the file's pages", "[torch_file]") {
  const Folder folder;
  const std::string path = folder / "x.pt";
  const torch::Tensor x = torch::randn({100, 3});
  save_checkpoint(path, StateDict({{"x", x}, {"row", x[1]}}));
  torch::Tensor loaded = load_checkpoint(path).state["x"];
  CHECK(support::mapped_file(loaded.const_data_ptr()) == path);
  CHECK(reinterpret_cast<std::uintptr_t>(loaded.const_data_ptr()) % 64 == 0);
  loaded.zero_();
  CHECK(torch::equal(load_checkpoint(path).state["x"], x));
}

TEST_CASE("each way of being no checkpoint has its sentence", "[torch_file][errors][parity]") {
  const fs::path folder = parity::folder() / "torch_files";
  const auto error = [&](const std::string& name, const LoadCheckpointOptions& options = {}) {
    const std::string path = folder / (name + ".pt");
    const std::string text = support::error([&] { load_checkpoint(path, options); });
    const std::string begin = "load_checkpoint: " + path;
    REQUIRE(text.starts_with(begin));
    return text.substr(begin.size());
  };
  CHECK(error("crafted_call_os.system") == ": expected tensors, got an object of \"os.system\"");
  CHECK(error("crafted_pickle_number") == ": expected tensors, got an int");
  CHECK(error("crafted_pickle_numbers") == ": expected tensors, got a dict of \"a\", \"b\"");
  CHECK(error("crafted_zip_big_endian") ==
        ": expected the byte order \"little\", got \"big\": save it again by torch.save on a "
        "little-endian machine");
  CHECK(error("crafted_zip_encrypted") ==
        ": the record \"archive/data.pkl\" is encrypted, which torch.save never does: decrypt the "
        "file first");
  CHECK(error("crafted_zip_really_deflated") ==
        ": the record \"archive/data.pkl\" is compressed, which torch.save never does: unpack the "
        "file and pack it again without compression, or save it again by torch.save");
  CHECK(error("crafted_zip_of_text") ==
        " is a zip file without the record \"data.pkl\" that torch.save writes: unpack it, if a "
        "checkpoint is inside");
  CHECK(error("crafted_zip_no_storage") == ": expected the record \"archive/data/0\", got none");
  CHECK(error("crafted_zip_storage_short") ==
        ": expected 24 bytes in the record \"archive/data/0\", got 23");
  CHECK(error("crafted_plain_pickle") ==
        " is a plain pickle, not torch.save's: load it in Python by pickle.load, and save its "
        "tensors by torch.save");
  for (const char* name : {"tensors", "5", "0", "1"}) {
    CHECK(error(std::string("crafted_plain_pickle_") + name) == error("crafted_plain_pickle"));
  }
  CHECK_THAT(error("crafted_plain_pickle_numpy"),
             Catch::Matchers::StartsWith(" is a plain pickle of NumPy arrays: "));
  CHECK(error("crafted_zip_of_checkpoint") ==
        " is a zip file with \"weights/last.ckpt\" in it: unpack it first");
  CHECK_THAT(error("crafted_zip_of_numpy"),
             Catch::Matchers::StartsWith(" is an archive of NumPy arrays: "));
  CHECK_THAT(error("crafted_zip_of_keras"), Catch::Matchers::StartsWith(" is a model of Keras: "));
  CHECK_THAT(error("crafted_zip_of_export"),
             Catch::Matchers::StartsWith(" is a program of torch.export: "));
  CHECK(error("crafted_legacy_pickle_protocol_0") ==
        ": expected a pickle of protocol 1 to 5, got one of protocol 0 at byte 2, whose tensors "
        "torch.load does not read either: save it again by torch.save");
  CHECK(error("crafted_tensor_sparse") == ": tensor \"a\": expected a dense one, got a sparse one");
  CHECK(error("crafted_tensor_offset_beyond") ==
        ": tensor \"a\": expected elements within its storage of 24 bytes, got one beyond it");
  CHECK(error("crafted_tensor_strides_negative") ==
        ": tensor \"a\": expected strides of whole numbers >= 0, got something else");
  CHECK(error("crafted_pickle_protocol_6") ==
        ", data.pkl: expected a pickle of protocol 1 to 5, got protocol 6 at byte 2");
  CHECK(error("nested_everything", {.at = "nothing"}) ==
        ": expected .at to be a member, got \"nothing\"; the file is a dict of \"epoch\", \"lr\", "
        "\"name\", \"best\", \"big\", \"none\", \"nan\", \"optimizer\", \"model\"");
}

TEST_CASE("a .pt file keeps no metadata, and says so", "[torch_file][errors]") {
  CHECK(support::error([] { save_checkpoint("x.pt", StateDict(), {.metadata = {{"a", "b"}}}); }) ==
        "save_checkpoint: expected no metadata for a .pt or .pth file, which has none, got 1 "
        "entries");
}

/// Saves a module by save_torchscript(), and what it computes: tests/parity/back.py runs it in
/// Python.
void write_script(const std::string& name, Sequential net, const torch::Tensor& x) {
  const fs::path folder = parity::folder() / "back";
  save_torchscript(*net, x, folder / (name + ".pt"));
  net->eval();
  const torch::NoGradGuard no_grad;
  const torch::Tensor y = net(x);
  parity::check_alive("output", y);
  StateDict state = state_dict(*net);
  CHECK(load_checkpoint(folder / (name + ".pt")).state.keys() == state.keys());
  state.insert("x", x);
  state.insert("y", y);
  save_checkpoint(folder / (name + ".safetensors"), state);
}

/// A user's module whose forward gives its buffers another size.
struct GrowingImpl : Block<GrowingImpl> {
  explicit GrowingImpl(bool in_place) : in_place(in_place) { GrowingImpl::reset(); }
  void reset() override {
    seen = register_buffer("seen", torch::arange(3, torch::kFloat));
    last = register_buffer("last", torch::zeros({2}, torch::kLong));
    conv = register_module("conv", ConvBlock(3, 4));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    if (in_place) {
      seen.resize_({7}).fill_(1);
      last.fill_(9);
    } else {
      seen.set_data(torch::cat({seen, torch::ones({4})}));
      last.set_data(torch::ones({5}));
    }
    return conv(x);
  }
  bool in_place;
  torch::Tensor seen;
  torch::Tensor last;
  ConvBlock conv{nullptr};
};

TEST_CASE("save_torchscript() leaves a module as it was, whatever its forward does to buffers",
          "[torch_file]") {
  const Folder folder;
  for (const bool in_place : {false, true}) {
    const auto module = std::make_shared<GrowingImpl>(in_place);
    module->conv->eval();
    const StateDict state = state_dict(*module);
    StateDict before;
    for (const auto& entry : state) before.insert(entry.key(), entry.value().clone());
    // It may be refused: TorchScript records no change of a buffer's size.
    support::error(
        [&] { save_torchscript(*module, torch::randn({2, 3, 5, 5}), folder / "net.pt"); });
    CHECK(module->is_training());
    CHECK_FALSE(module->conv->is_training());
    for (const auto& entry : state_dict(*module)) {
      INFO(entry.key());
      CHECK(entry.value().dtype() == before[entry.key()].dtype());
      CHECK(torch::equal(entry.value(), before[entry.key()]));
    }
  }
}

TEST_CASE("save_torchscript() writes what torch.jit.load runs, bit for bit",
          "[torch_file][parity]") {
  torch::manual_seed(3);
  for (const auto dtype : {torch::kFloat, torch::kBFloat16}) {
    Sequential linear{torch::nn::Linear(17, 9), torch::nn::ReLU(), torch::nn::Linear(9, 5)};
    linear->to(dtype);
    write_script(std::string("script_linear_") + c10::toString(dtype), linear,
                 torch::randn({33, 17}).to(dtype));
  }

  Sequential net{BlurPool2d(), ConvBlock(3, 8),
                 Sequential{SeparableConv2d(8, 6), torch::nn::ReLU()},
                 Conv2dSame(Conv2dSameOptions(6, 4, 3).stride(2)), Upsampler(4, 5)};
  net->to(torch::kDouble);
  {
    const torch::NoGradGuard no_grad;
    for (const auto& buffer : net->buffers()) {
      if (buffer.is_floating_point()) buffer.uniform_(0.5, 2);
    }
  }
  (*net)[1]->eval();
  const torch::Tensor x = torch::randn({2, 3, 13, 11}, torch::kDouble);
  const std::string path = parity::folder() / "back" / "mode.pt";
  save_torchscript(*net, x, path);
  CHECK(net->is_training());
  CHECK_FALSE((*net)[1]->is_training());
  CHECK((*net)[2]->children()[1]->is_training());
  write_script("script", net, x);

  Sequential named{{"lambda", torch::nn::ReLU()}};
  CHECK(support::error([&] { save_torchscript(*named, x, path); }) ==
        "save_torchscript: expected names that TorchScript has no other use for, got \"lambda\"");
  CHECK(support::error([&] { save_torchscript(*net, x, "x.safetensors"); }) ==
        "save_torchscript: expected a name that ends with .pt or .pth, got x.safetensors");
  CHECK(support::error([&] { save_torchscript(*net, x, "no/such/net.pt"); }) ==
        "save_torchscript: cannot write no/such/net.pt: no new file in its folder: No such file or "
        "directory");
}

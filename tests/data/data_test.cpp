#include <convkit/checkpoint.h>
#include <convkit/data.h>

#include "files/checkpoint_support.h"
#include "parity/reference.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <chrono>
#include <set>
#include <thread>

using namespace convkit;
using namespace convkit::data;
using nlohmann::json;
using support::error;

namespace {

fs::path folder() {
  return parity::folder() / "data";
}

const json& manifest() {
  static const json result = json::parse(support::read_file(folder() / "data.json"));
  return result;
}

torch::Tensor expected(const std::string& name) {
  static const StateDict reference =
      load_checkpoint((folder() / "data.safetensors").string()).state;
  const torch::Tensor* found = reference.find(name);
  if (found == nullptr) FAIL("Python has not computed " << name);
  return *found;
}

std::optional<at::Generator> generator_of(const json& seed) {
  if (seed.is_null()) return {};
  return at::detail::createCPUGenerator(seed.get<uint64_t>());
}

/// The dataset of tests/parity/data.py.
struct Noisy {
  int64_t count;

  int64_t size() const { return count; }
  std::pair<torch::Tensor, int64_t> get(int64_t index,
                                        std::optional<at::Generator> generator) const {
    torch::Tensor x = at::rand({3}, generator) + index;
    if (at::randint(0, 2, {1}, generator).item<int64_t>() == 1) x = x + at::randn({3}, generator);
    return {x, index};
  }
};

std::shared_ptr<Sampler> sampler_of(const json& given, const std::optional<at::Generator>& own) {
  const std::string kind = given["sampler"];
  const int64_t size = given["size"];
  if (kind == "random") {
    RandomSamplerOptions options{.replacement = given["replacement"], .generator = own};
    if (!given["num_samples"].is_null()) options.num_samples = given["num_samples"].get<int64_t>();
    return std::make_shared<RandomSampler>(size, options);
  }
  if (kind == "subset") {
    return std::make_shared<SubsetRandomSampler>(given["indices"].get<std::vector<int64_t>>(), own);
  }
  if (kind == "weighted") {
    const auto weights = given["weights"].get<std::vector<double>>();
    return std::make_shared<WeightedRandomSampler>(
        torch::tensor(weights, torch::kDouble), given["num_samples"].get<int64_t>(),
        WeightedRandomSamplerOptions{.replacement = given["replacement"], .generator = own});
  }
  if (kind == "distributed") {
    return std::make_shared<DistributedSampler>(
        size, DistributedSamplerOptions{.num_replicas = given["num_replicas"],
                                        .rank = given["rank"],
                                        .shuffle = given["shuffle"],
                                        .seed = given["sampler_seed"],
                                        .drop_last = given["drop"]});
  }
  return nullptr;
}

void check_state(const std::string& name, const at::Generator& generator) {
  INFO(name);
  CHECK(torch::equal(generator.get_state(), expected(name)));
}

/// A loader of a case, and all generators that it draws from.
struct Loading {
  explicit Loading(const json& given)
      : loading(generator_of(given["seed"])),
        own(generator_of(given["own_seed"])),
        sampler(sampler_of(given, own)),
        loader(Noisy{given["size"]}, {.batch_size = given["batch_size"],
                                      .shuffle = given["sampler"] == "shuffle",
                                      .sampler = sampler,
                                      .num_workers = given["num_workers"],
                                      .drop_last = given["drop_last"],
                                      .generator = loading,
                                      .prefetch_factor = given["prefetch_factor"]}) {}

  void set_epoch(std::size_t epoch) const {
    if (auto* distributed = dynamic_cast<DistributedSampler*>(sampler.get())) {
      distributed->set_epoch(static_cast<int64_t>(epoch));
    }
  }

  std::optional<at::Generator> loading;
  std::optional<at::Generator> own;
  std::shared_ptr<Sampler> sampler;
  DataLoader<Noisy> loader;
};

/// Runs the epochs of a case as tests/parity/data.py does.
void check_loader(const json& given) {
  const std::string name = "loader." + std::to_string(given["number"].get<int>());
  CAPTURE(name, given.dump());
  Loading loads(given);
  torch::manual_seed(given["number"].get<uint64_t>());
  CHECK(loads.loader.size() == given["batches"]);
  for (std::size_t epoch = 0; epoch < given["counts"].size(); ++epoch) {
    loads.set_epoch(epoch);
    std::vector<int64_t> counts;
    std::vector<torch::Tensor> inputs;
    std::vector<torch::Tensor> targets;
    for (const auto& [x, y] : loads.loader) {
      counts.push_back(y.size(0));
      inputs.push_back(x);
      targets.push_back(y);
      if (given["stop_after"] == counts.size()) break;
    }
    CHECK(counts == given["counts"][epoch].get<std::vector<int64_t>>());
    const std::string key = name + "." + std::to_string(epoch) + ".";
    if (!counts.empty()) {
      CHECK(torch::equal(torch::cat(targets), expected(key + "y")));
      CHECK(torch::equal(torch::cat(inputs), expected(key + "x")));
    }
    check_state(key + "default", at::detail::getDefaultCPUGenerator());
    if (loads.loading) check_state(key + "loading", *loads.loading);
    if (loads.own) check_state(key + "own", *loads.own);
  }
}

/// Two epochs that another loader goes on with, from a file, after some batches of the first.
void check_resumed(const json& given) {
  CAPTURE(given.dump());
  if (given["batches"] == 0) return;
  const int64_t stop = 1 + given["number"].get<int64_t>() % given["batches"].get<int64_t>();
  const std::string file = (folder() / "state.pt").string();
  torch::manual_seed(7);
  std::vector<torch::Tensor> inputs;
  const auto take = [&](Loading& loads) {
    for (const auto& [x, y] : loads.loader) inputs.insert(inputs.end(), {x, y.to(torch::kFloat)});
  };
  Loading whole(given);
  whole.set_epoch(1);
  auto batch = whole.loader.begin();
  for (int64_t i = 1; i < stop; ++i) ++batch;
  save_tree(file, whole.loader.state_dict());
  while (++batch != whole.loader.end()) {
    inputs.insert(inputs.end(), {batch->first, batch->second.to(torch::kFloat)});
  }
  take(whole);
  std::vector<torch::Tensor> expected_inputs;
  inputs.swap(expected_inputs);
  const torch::Tensor next = at::rand({3});

  torch::manual_seed(8);
  Loading resumed(given);
  resumed.set_epoch(1);
  resumed.loader.load_state_dict(load_tree(file));
  take(resumed);
  take(resumed);
  CHECK(torch::equal(at::rand({3}), next));
  REQUIRE(inputs.size() == expected_inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i)
    CHECK(torch::equal(inputs[i], expected_inputs[i]));
}

/// What start() gives in all.
std::vector<int64_t> indices_of(const Sampler& sampler) {
  std::vector<int64_t> all;
  const Sampler::Epoch epoch = sampler.start();
  for (auto portion = epoch(); !portion.empty(); portion = epoch()) {
    all.insert(all.end(), portion.begin(), portion.end());
  }
  return all;
}

std::string text_of(const std::string& path) {
  return support::read_file(path);
}

torch::Tensor bytes_of(const std::string& path) {
  const std::string text = text_of(path);
  torch::Tensor bytes = torch::empty({static_cast<int64_t>(text.size())}, torch::kByte);
  std::memcpy(bytes.data_ptr(), text.data(), text.size());
  return bytes;
}

}  // namespace

TEST_CASE("loaders give Python's batches and leave its generators", "[data]") {
  for (const json& given : manifest()["loaders"]) check_loader(given);
}

TEST_CASE("a loader goes on from its state with the same batches", "[data]") {
  for (const json& given : manifest()["loaders"]) check_resumed(given);
}

TEST_CASE("a DistributedSampler gives every rank Python's part", "[data]") {
  for (const json& given : manifest()["distributed"]) {
    CAPTURE(given.dump());
    DistributedSampler sampler(given["size"], {.num_replicas = given["num_replicas"],
                                               .rank = given["rank"],
                                               .shuffle = given["shuffle"],
                                               .seed = 9,
                                               .drop_last = given["drop"]});
    sampler.set_epoch(4);
    const auto indices = indices_of(sampler);
    CHECK(indices == given["indices"].get<std::vector<int64_t>>());
    CHECK(sampler.size() == static_cast<int64_t>(indices.size()));
  }
}

TEST_CASE("random_split makes Python's parts", "[data]") {
  for (const json& given : manifest()["splits"]) {
    CAPTURE(given.dump());
    torch::manual_seed(given["number"].get<uint64_t>());
    const auto numbers = given["lengths"].get<std::vector<double>>();
    const auto parts = random_split(Noisy{given["size"]}, {numbers.begin(), numbers.end()},
                                    generator_of(given["seed"]));
    REQUIRE(parts.size() == given["parts"].size());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      CHECK(parts[i].indices() == given["parts"][i].get<std::vector<int64_t>>());
    }
  }
  const int64_t three = 3;
  CHECK(random_split(Noisy{10}, {three, 7}).front().size() == 3);
}

TEST_CASE("an ImageFolder lists the files that torchvision does", "[data]") {
  const auto here = fs::current_path();
  fs::current_path(folder());
  for (const json& given : manifest()["folders"]) {
    const ImageFolder dataset(given["root"], {.loader = bytes_of, .allow_empty = true});
    CHECK(dataset.classes() == given["classes"].get<std::vector<std::string>>());
    CHECK(dataset.class_to_idx() == given["class_to_idx"].get<std::map<std::string, int64_t>>());
    json samples;
    for (const auto& [path, target] : dataset.samples()) samples.push_back({path, target});
    CHECK(samples == given["samples"]);
    CHECK(samples.size() > 60);
  }
  fs::current_path(here);
}

TEST_CASE("an ImageFolder passes a file through its loader and transforms", "[data]") {
  const ImageFolder dataset(
      (folder() / "images").string(),
      {.transform = [](const torch::Tensor& image, std::optional<at::Generator> generator)
           -> torch::Tensor { return image + at::randint(1, 9, {1}, generator, torch::kByte); },
       .target_transform = [](int64_t target) { return -target; },
       .loader = bytes_of,
       .is_valid_file = [](const std::string& path) { return path.ends_with(".txt"); },
       .allow_empty = true});
  REQUIRE(dataset.size() == 2);
  const auto generator = at::detail::createCPUGenerator(5);
  const auto [image, target] = dataset.get(0, generator);
  const auto again = at::detail::createCPUGenerator(5);
  CHECK(torch::equal(
      image, bytes_of(dataset.samples()[0].path) + at::randint(1, 9, {1}, again, torch::kByte)));
  CHECK(text_of(dataset.samples()[0].path) == "b/notes.txt");
  CHECK(target == -dataset.class_to_idx().at("b"));
  CHECK(dataset.size() == 2);
}

TEST_CASE("an ImageFolder says what it lacks", "[data]") {
  const std::string root = (folder() / "images").string();
  CHECK(error([&] { ImageFolder(root + "/no", {.loader = bytes_of}); }) ==
        "ImageFolder: expected a folder that can be read, got " + root +
            "/no: No such file or directory");
  CHECK(error([&] { ImageFolder(root + "/B", {.loader = bytes_of}); }) ==
        "ImageFolder: expected a folder for each class in " + root + "/B, got none");
  CHECK(error([&] { ImageFolder(root, {.loader = bytes_of}); }) ==
        "ImageFolder: expected a file for each class in " + root +
            ", got none for empty; the extensions are .jpg, .jpeg, .png, .ppm, .bmp, .pgm, .tif, "
            ".tiff, .webp");
  CHECK(error([&] {
          ImageFolder(root, {.loader = bytes_of,
                             .extensions = {".png"},
                             .is_valid_file = [](const std::string&) { return true; }});
        }) == "ImageFolder: expected extensions or is_valid_file, got both");
  const ImageFolder unread(root, {.allow_empty = true});  // its files are no images
  CHECK(error([&] {
          unread.get(0, std::nullopt);
        }).starts_with("read_image: " + unread.samples()[0].path + ": not an image of JPEG"));
}

TEST_CASE("default_collate makes Python's batches", "[data]") {
  using Example = std::tuple<torch::Tensor, int, float, bool, std::string,
                             std::vector<torch::Tensor>, std::map<std::string, int64_t>>;
  std::vector<Example> examples;
  std::vector<std::tuple<double>> thirds;
  for (int i = 0; i < 4; ++i) {
    examples.emplace_back(torch::full({2}, i), i, i, i % 2 == 0, "t" + std::to_string(i),
                          std::vector{torch::tensor(i), torch::tensor(-i)},
                          std::map<std::string, int64_t>{{"k", i}});
    thirds.emplace_back(i / 3.0);
  }
  const auto [tensor, whole, real, yes, text, pair, map] = default_collate(examples);
  const auto equal = [](const torch::Tensor& ours, const char* name) {
    const torch::Tensor theirs = expected(name);
    return ours.dtype() == theirs.dtype() && torch::equal(ours, theirs);
  };
  CHECK(equal(tensor.to(torch::kLong), "collate.tensor"));
  CHECK(equal(whole, "collate.whole"));
  CHECK(torch::equal(real, torch::arange(4, torch::kDouble)));
  CHECK(equal(std::get<0>(default_collate(thirds)), "collate.real"));
  CHECK(equal(yes, "collate.yes"));
  CHECK(text == std::vector<std::string>{"t0", "t1", "t2", "t3"});
  CHECK(equal(pair.at(0).to(torch::kLong), "collate.first"));
  CHECK(equal(pair.at(1).to(torch::kLong), "collate.second"));
  CHECK(equal(map.at("k"), "collate.map"));
  CHECK(error([] { default_collate(std::vector<std::vector<int>>{{1, 2}, {3}}); }) ==
        "default_collate: expected vectors of 2 items, as the first one has, got 1");
}

TEST_CASE("a TensorDataset gives rows, and a batch of them has its names", "[data]") {
  const torch::Tensor images = torch::randn({5, 3, 2, 2});
  const torch::Tensor labels = torch::arange(5);
  DataLoader loader(TensorDataset(images, labels), {.batch_size = 2, .num_workers = 1});
  int64_t row = 0;
  for (const auto& [x, y] : loader) {
    CHECK(torch::equal(x, images.slice(0, row, row + 2)));
    CHECK(torch::equal(y, labels.slice(0, row, row + 2)));
    row += 2;
  }
  CHECK(row == 6);
  DataLoader whole(TensorDataset(images, labels),
                   {.batch_size = INT64_MAX, .num_workers = 1, .prefetch_factor = INT64_MAX});
  CHECK(whole.size() == 1);
  [[maybe_unused]] const auto first = whole.begin();
  CHECK(error([&] { loader.load_state_dict(whole.state_dict()); }) ==
        "DataLoader: expected the state of an epoch of 3 batches, got one after 1 of 1");
  CHECK(error([&] { DataLoader(TensorDataset(images), {.num_workers = 1'000'000}); }) ==
        "DataLoader: expected num_workers <= 1024, got 1000000");
  CHECK(error([&] { TensorDataset(images, torch::zeros({4})); }) ==
        "TensorDataset: expected tensors with 5 rows, as the first one has, got 4");
  CHECK(error([&] { TensorDataset(torch::tensor(1)); }) ==
        "TensorDataset: expected tensors [N, ...], got []");
}

namespace {

struct Boxes {
  int64_t image;
  torch::Tensor boxes;
};

struct BoxDataset {
  int64_t size() const { return 4; }
  Boxes get(int64_t index, const std::optional<at::Generator>& /*generator*/) const {
    return {index, torch::full({index, 4}, index)};
  }
};

/// Fails at an index, in the way that is asked for.
struct Failing {
  std::function<void()> fail;

  int64_t size() const { return 6; }
  int64_t get(int64_t index, const std::optional<at::Generator>& /*generator*/) const {
    if (index == 3) fail();
    return index;
  }
};

}  // namespace

TEST_CASE("collate makes batches of a type of one's own", "[data]") {
  for (const int64_t workers : {0, 2}) {
    DataLoader<BoxDataset, std::vector<Boxes>> loader(
        BoxDataset(), {.batch_size = 3,
                       .num_workers = workers,
                       .collate = [](std::vector<Boxes> examples) { return examples; }});
    std::vector<std::size_t> sizes;
    for (const std::vector<Boxes>& batch : loader) sizes.push_back(batch.size());
    CHECK(sizes == std::vector<std::size_t>{3, 1});
  }
  CHECK(error([] { DataLoader<BoxDataset, std::vector<Boxes>>{BoxDataset()}; }) ==
        "DataLoader: expected collate for examples of such a type");
}

TEST_CASE("an exception arrives in its batch's place, with the example's index", "[data]") {
  for (const int64_t workers : {0, 2}) {
    DataLoader loader(Failing{[] { TORCH_CHECK_VALUE(false, "no image"); }},
                      {.batch_size = 2, .num_workers = workers});
    auto batch = loader.begin();
    CHECK(torch::equal(*batch, torch::tensor({0, 1})));
    CHECK_THROWS_AS(++batch, c10::ValueError);
    ++batch;
    CHECK(torch::equal(*batch, torch::tensor({4, 5})));
    ++batch;
    CHECK(batch == loader.end());
    ++batch;
    CHECK(batch == loader.end());
    CHECK(error([&] {
            for ([[maybe_unused]] const auto& each : loader) {
            }
          }) == "no image (DataLoader: example 3)");
  }
  DataLoader loader(Failing{[] { throw std::out_of_range("far"); }}, {.num_workers = 1});
  try {
    for ([[maybe_unused]] const auto& each : loader) {
    }
    FAIL("nothing was thrown");
  } catch (const std::runtime_error& thrown) {
    CHECK(thrown.what() == std::string("DataLoader: example 3: far"));
    CHECK_THROWS_AS(std::rethrow_if_nested(thrown), std::out_of_range);
  }
}

TEST_CASE("loaders and samplers refuse what Python refuses", "[data]") {
  const auto refused = [](DataLoaderOptions<std::pair<torch::Tensor, int64_t>,
                                            std::pair<torch::Tensor, torch::Tensor>>
                              options,
                          int64_t size = 3) {
    return error([&] { DataLoader(Noisy{size}, options); });
  };
  CHECK(refused({.batch_size = 0}) == "DataLoader: expected batch_size >= 1, got 0");
  CHECK(refused({.num_workers = -1}) == "DataLoader: expected num_workers >= 0, got -1");
  CHECK(refused({.prefetch_factor = 0}) == "DataLoader: expected prefetch_factor >= 1, got 0");
  CHECK(refused({.shuffle = true, .sampler = std::make_shared<SequentialSampler>(3)}) ==
        "DataLoader: expected sampler or shuffle, got both");
  CHECK(refused({.shuffle = true}, 0) == "RandomSampler: expected size >= 1, got 0");
  CHECK(refused({}) == "no error");
  CHECK(error([] { SequentialSampler(-1); }) == "SequentialSampler: expected size >= 0, got -1");
  CHECK(error([] { RandomSampler(3, {.num_samples = 0}); }) ==
        "RandomSampler: expected num_samples >= 1, got 0");
  CHECK(error([] { WeightedRandomSampler(torch::ones({2, 2}), 1); }) ==
        "WeightedRandomSampler: expected weights [N], got [2, 2]");
  CHECK(error([] { WeightedRandomSampler(torch::ones({2}), 0); }) ==
        "WeightedRandomSampler: expected num_samples >= 1, got 0");
  CHECK(error([] { WeightedRandomSampler(torch::ones({2}), 3, {.replacement = false}); }) ==
        "WeightedRandomSampler: expected num_samples <= 2 without replacement, got 3");
  CHECK(error([] { DistributedSampler(3, {.num_replicas = 2, .rank = 2}); }) ==
        "DistributedSampler: expected a rank from 0 to 1, got 2");
  CHECK(error([] { Subset(Noisy{3}, {0, 3}); }) == "Subset: expected indices from 0 to 2, got 3");
  CHECK(error([] { random_split(Noisy{3}, {1, 1}); }) ==
        "random_split: expected lengths that sum up to 3, got 2");
  CHECK(error([] { random_split(Noisy{3}, {0.5, 2.5}); }) ==
        "random_split: expected whole numbers that sum up to 3, or fractions that sum up to 1, got "
        "0.5");
  CHECK(error([] { random_split(Noisy{3}, {1.5, -0.5}); }) ==
        "random_split: expected fractions from 0 to 1, got 1.5");
}

namespace {

/// Counts what it is asked for, and by whom.
struct Watched {
  struct State {
    std::atomic<int64_t> loaded = 0;
    std::mutex mutex;
    std::set<std::thread::id> threads;
  };

  std::shared_ptr<State> state = std::make_shared<State>();
  int64_t count = 100;

  int64_t size() const { return count; }
  int64_t get(int64_t /*index*/, const std::optional<at::Generator>& /*generator*/) const {
    {
      const std::lock_guard lock(state->mutex);
      state->threads.insert(std::this_thread::get_id());
    }
    ++state->loaded;
    return at::get_num_threads();
  }
};

template <typename F>
void wait_until(F condition) {
  const auto start = std::chrono::steady_clock::now();
  while (!condition()) {
    if (std::chrono::steady_clock::now() - start > std::chrono::minutes(1)) FAIL("waited too long");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

TEST_CASE("workers load ahead as many batches as prefetch_factor says", "[data][threads]") {
  const Watched dataset;
  DataLoader loader(dataset, {.batch_size = 2, .num_workers = 3, .prefetch_factor = 2});
  auto batch = loader.begin();
  // 6 batches ahead of the one that was taken; then the workers have nothing to do.
  wait_until([&] { return dataset.state->loaded == 14; });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  CHECK(dataset.state->loaded == 14);
  ++batch;
  wait_until([&] { return dataset.state->loaded == 16; });
  CHECK(dataset.state->threads.size() == 3);
  CHECK_FALSE(dataset.state->threads.contains(std::this_thread::get_id()));
}

TEST_CASE("batches are ready before they are asked for", "[data][threads]") {
  const Watched dataset;
  DataLoader loader(dataset, {.batch_size = 5, .num_workers = 2});
  int64_t taken = 0;
  for ([[maybe_unused]] const auto& batch : loader) {
    ++taken;
    // A consumer that takes its time always finds the next batch loaded.
    wait_until([&] { return dataset.state->loaded >= std::min<int64_t>(5 * (taken + 1), 100); });
  }
  CHECK(taken == 20);
}

TEST_CASE("a worker has one thread of LibTorch's, and leaves the others theirs",
          "[data][threads]") {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  DataLoader loader(Watched(), {.batch_size = 50, .num_workers = 2});
  for (const torch::Tensor& threads : loader) {
    CHECK(torch::equal(threads, torch::ones({50}, torch::kLong)));
    CHECK(at::get_num_threads() == 2);
  }
  int64_t later = 0;
  std::thread([&] { later = at::get_num_threads(); }).join();
  CHECK(later == 2);
  at::set_num_threads(before);
}

namespace {

/// The first thousand examples are there at once, and the others take their time.
struct Slow {
  std::shared_ptr<std::atomic<int64_t>> loaded = std::make_shared<std::atomic<int64_t>>(0);

  int64_t size() const { return 100'000; }
  int64_t get(int64_t index, const std::optional<at::Generator>& /*generator*/) const {
    if (index >= 1000) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return ++*loaded;
  }
};

}  // namespace

TEST_CASE("an epoch that is left ends its threads after the example they load", "[data][threads]") {
  const Slow dataset;
  {
    DataLoader loader(dataset, {.batch_size = 1000, .num_workers = 2});
    CHECK(loader.begin()->size(0) == 1000);
  }
  // A batch of each worker's would take them ten seconds.
  CHECK(*dataset.loaded < 2000);
}

TEST_CASE("epochs may overlap, and outlive their loader", "[data][threads]") {
  auto loader = std::make_unique<DataLoader<Noisy>>(
      std::make_shared<const Noisy>(Noisy{40}),
      DataLoader<Noisy>::Options{.batch_size = 4, .num_workers = 2});
  torch::manual_seed(1);
  auto first = loader->begin();
  auto second = loader->begin();
  loader.reset();
  int64_t batches = 0;
  for (; first != std::default_sentinel; ++first, ++second, ++batches) {
    CHECK(torch::equal(first->second, second->second));
    CHECK_FALSE(torch::equal(first->first, second->first));
  }
  CHECK(second == std::default_sentinel);
  CHECK(batches == 10);
}

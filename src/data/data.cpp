#include <convkit/data.h>

#include "data/workers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>

#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>

namespace convkit::data::detail {

namespace {

using Indices = std::vector<int64_t>;

/// The indices of an epoch's batches. Nothing is drawn before the first is asked for.
class Batches {
 public:
  explicit Batches(const EpochOptions& options)
      : sampler_(options.sampler),
        portions_(sampler_->start()),
        size_(static_cast<std::size_t>(options.batch_size)),
        drop_last_(options.drop_last) {}

  /// None at the end.
  Indices next() {
    Indices batch;
    while (batch.size() < size_ && more()) batch.push_back(portion_[place_++]);
    if (drop_last_ && batch.size() < size_) batch.clear();
    return batch;
  }

 private:
  bool more() {
    if (place_ < portion_.size()) return true;
    if (ended_) return false;
    portion_ = portions_();
    place_ = 0;
    ended_ = portion_.empty();
    return !ended_;
  }

  std::shared_ptr<const Sampler> sampler_;
  Sampler::Epoch portions_;
  std::size_t size_;
  bool drop_last_;
  Indices portion_;
  std::size_t place_ = 0;
  bool ended_ = false;
};

torch::Tensor state_of(at::Generator generator) {
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_state(at::Generator generator, const torch::Tensor& state) {
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state);
}

/// Throws c10::ValueError for what no generator's state is.
void check_state(const Tree& state) {
  try {
    at::detail::createCPUGenerator().set_state(state.tensor());
  } catch (const c10::ValueError&) {
    throw;
  } catch (const c10::Error& error) {
    TORCH_CHECK_VALUE(
        false, "DataLoader: expected the state of a generator: ", error.what_without_backtrace());
  }
}

/// The default generator, the loader's and the sampler's, where they have one.
std::vector<std::optional<at::Generator>> generators_of(const EpochOptions& options) {
  return {at::detail::getDefaultCPUGenerator(), options.generator, options.sampler->generator()};
}

Tree states_of(const EpochOptions& options) {
  Tree states = Tree::list();
  for (const auto& generator : generators_of(options)) {
    states.add(generator ? Tree(state_of(*generator)) : Tree());
  }
  return states;
}

void set_states(const EpochOptions& options, const Tree& states) {
  const auto generators = generators_of(options);
  for (std::size_t i = 0; i < generators.size(); ++i) {
    if (generators[i]) set_state(*generators[i], states.items()[i].tensor());
  }
}

void check_states(const EpochOptions& options, const Tree& states) {
  const auto generators = generators_of(options);
  const std::vector<Tree>& items = states.items();
  TORCH_CHECK_VALUE(items.size() == generators.size(), "DataLoader: expected the states of ",
                    generators.size(), " generators, got ", items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    TORCH_CHECK_VALUE(generators[i].has_value() != items[i].is_none(),
                      "DataLoader: expected the state of a loader with the same generators");
    if (generators[i]) check_state(items[i]);
  }
}

class Epoch : public LoadedEpoch {
 public:
  Epoch(const EpochOptions& options, Load load, const Tree& state)
      : start_(states_of(options)), batches_(options), load_(std::move(load)) {
    // Python draws it without workers too, and before the sampler draws.
    const auto seed = at::empty({}, torch::kLong).random_(options.generator).item<int64_t>();
    if (!state.is_none()) taken_ = given_ = state.at("batches").integer();
    for (int64_t i = 0; i < taken_; ++i) batches_.next();
    if (options.num_workers == 0) return;
    workers_.emplace(options.num_workers, static_cast<uint64_t>(seed), load_);
    for (int64_t w = 0; w < options.num_workers; ++w) {
      at::Generator& generator = workers_->generator(w);
      if (!state.is_none()) {
        generator.set_state(state.at("workers").items()[static_cast<std::size_t>(w)].tensor());
      }
      worker_states_.emplace_back(generator.get_state());
    }
    workers_->start();
    for (int64_t i = 0; i < options.prefetch_factor; ++i) {
      for (int64_t w = 0; w < options.num_workers; ++w) {
        if (!put()) return;
      }
    }
  }

  std::shared_ptr<void> next() override {
    if (!workers_) {
      const Indices indices = batches_.next();
      ended_ = indices.empty();
      if (ended_) return nullptr;
      ++taken_;
      return load_(indices, std::nullopt, false);
    }
    ended_ = taken_ == given_;
    if (ended_) return nullptr;
    Workers::Result result = workers_->take(taken_);
    worker_states_[static_cast<std::size_t>(taken_) % worker_states_.size()] = result.state;
    ++taken_;
    put();
    if (result.error) std::rethrow_exception(result.error);
    return std::move(result.batch);
  }

  void add_to(Tree& state) const override {
    if (ended_) return;
    state.set("start", start_);
    state.set("batches", taken_);
    state.set("workers", Tree::list(worker_states_));
  }

 private:
  /// Whether there was a batch left to give.
  bool put() {
    Indices indices = batches_.next();
    if (indices.empty()) return false;
    workers_->put(given_++, std::move(indices));
    return true;
  }

  Tree start_;  // the generators' states before anything was drawn
  Batches batches_;
  Load load_;
  int64_t given_ = 0;  // to workers
  int64_t taken_ = 0;
  bool ended_ = false;
  std::vector<Tree> worker_states_;  // after the batches that were taken
  std::optional<Workers> workers_;
};

}  // namespace

LoadedEpoch::~LoadedEpoch() = default;

std::unique_ptr<LoadedEpoch> LoadedEpoch::start(const EpochOptions& options, Load load,
                                                const Tree& state) {
  if (state.is_none()) return std::make_unique<Epoch>(options, std::move(load), state);
  set_states(options, state.at("start"));
  auto epoch = std::make_unique<Epoch>(options, std::move(load), state);
  set_states(options, state.at("generators"));
  return epoch;
}

Tree state_of(const EpochOptions& options, const LoadedEpoch* epoch) {
  Tree state = Tree::dict();
  state.set("generators", states_of(options));
  if (epoch != nullptr) epoch->add_to(state);
  if (state.find("start") != nullptr) state.set("size", batches(options));
  return state;
}

Tree load_state(const EpochOptions& options, const Tree& state) {
  check_states(options, state.at("generators"));
  const Tree* start = state.find("start");
  if (start != nullptr) {
    check_states(options, *start);
    const int64_t taken = state.at("batches").integer();
    const int64_t size = state.at("size").integer();
    TORCH_CHECK_VALUE(taken >= 0 && taken <= size && size == batches(options),
                      "DataLoader: expected the state of an epoch of ", batches(options),
                      " batches, got one after ", taken, " of ", size);
    const std::vector<Tree>& workers = state.at("workers").items();
    TORCH_CHECK_VALUE(static_cast<int64_t>(workers.size()) == options.num_workers,
                      "DataLoader: expected the state of a loader with ", options.num_workers,
                      " workers, got ", workers.size());
    for (const Tree& worker : workers) check_state(worker);
  }
  set_states(options, state.at("generators"));
  return start != nullptr ? state : Tree();
}

constexpr int64_t kMostWorkers = 1024;  // each is a thread of the system

EpochOptions checked(EpochOptions options, int64_t size, bool shuffle) {
  const auto check = [](const char* option, int64_t least, int64_t value) {
    TORCH_CHECK_VALUE(value >= least, "DataLoader: expected ", option, " >= ", least, ", got ",
                      value);
  };
  check("batch_size", 1, options.batch_size);
  check("num_workers", 0, options.num_workers);
  TORCH_CHECK_VALUE(options.num_workers <= kMostWorkers,
                    "DataLoader: expected num_workers <= ", kMostWorkers, ", got ",
                    options.num_workers);
  check("prefetch_factor", 1, options.prefetch_factor);
  TORCH_CHECK_VALUE(!options.sampler || !shuffle,
                    "DataLoader: expected sampler or shuffle, got both");
  if (shuffle) {
    options.sampler =
        std::make_shared<RandomSampler>(size, RandomSamplerOptions{.generator = options.generator});
  } else if (!options.sampler) {
    options.sampler = std::make_shared<SequentialSampler>(size);
  }
  return options;
}

int64_t batches(const EpochOptions& options) {
  const int64_t size = options.sampler->size();
  const bool rest = !options.drop_last && size % options.batch_size != 0;
  return size / options.batch_size + (rest ? 1 : 0);
}

void rethrow_with_index(int64_t index) {
  const std::string place = "DataLoader: example " + std::to_string(index);
  try {
    throw;
  } catch (c10::Error& error) {
    error.add_context(place);
    throw;
  } catch (const std::exception& error) {
    std::throw_with_nested(std::runtime_error(place + ": " + error.what()));
  }
}

}  // namespace convkit::data::detail

#include <convkit/data.h>

#include "data/single_thread.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace convkit::data::detail {

namespace {

using Indices = std::vector<int64_t>;
using Generator = std::optional<at::Generator>;

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

class EpochWithoutWorkers : public LoadedEpoch {
 public:
  EpochWithoutWorkers(const EpochOptions& options, Load load)
      : batches_(options), load_(std::move(load)) {}

  std::shared_ptr<void> next() override {
    const Indices indices = batches_.next();
    return indices.empty() ? nullptr : load_(indices, std::nullopt, false);
  }

 private:
  Batches batches_;
  Load load_;
};

/// A batch, or the exception that came in its place.
struct Result {
  std::shared_ptr<void> batch;
  std::exception_ptr error;
};

/// Threads, each with its own queues of what it is to load and what it has loaded. Since batch b is
/// worker b % n's, the order of batches is that of the queues.
class Workers {
 public:
  Workers(int64_t count, uint64_t seed, Load load)
      : load_(std::move(load)), queues_(static_cast<std::size_t>(count)) {
    for (std::size_t w = 0; w < queues_.size(); ++w) {
      queues_[w].generator = at::detail::createCPUGenerator(seed + w);
    }
  }
  ~Workers() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    for (Queue& queue : queues_) queue.given.notify_one();
    for (Queue& queue : queues_) {
      if (queue.thread.joinable()) queue.thread.join();
    }
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Apart from the constructor, so that a thread that cannot be started ends the others.
  void start() {
    for (Queue& queue : queues_) {
      queue.thread = std::thread([this, &queue] { work(queue); });
    }
  }

  void put(int64_t batch, Indices indices) {
    const std::lock_guard lock(mutex_);
    of(batch).tasks.push_back(std::move(indices));
    of(batch).given.notify_one();
  }

  Result take(int64_t batch) {
    std::unique_lock lock(mutex_);
    std::deque<Result>& results = of(batch).results;
    loaded_.wait(lock, [&] { return !results.empty(); });
    Result result = std::move(results.front());
    results.pop_front();
    return result;
  }

 private:
  struct Queue {
    Generator generator;
    std::deque<Indices> tasks;
    std::condition_variable given;  // a task, or the end
    std::deque<Result> results;
    std::thread thread;
  };

  Queue& of(int64_t batch) { return queues_[static_cast<std::size_t>(batch) % queues_.size()]; }

  void work(Queue& queue) {
    use_one_thread();
    std::unique_lock lock(mutex_);
    while (true) {
      queue.given.wait(lock, [&] { return stopped_ || !queue.tasks.empty(); });
      if (stopped_) return;
      const Indices indices = std::move(queue.tasks.front());
      queue.tasks.pop_front();
      lock.unlock();
      Result result;
      try {
        result.batch = load_(indices, queue.generator, stopped_);
      } catch (...) {
        result.error = std::current_exception();
      }
      lock.lock();
      queue.results.push_back(std::move(result));
      loaded_.notify_one();
    }
  }

  Load load_;
  std::vector<Queue> queues_;
  std::mutex mutex_;
  std::condition_variable loaded_;
  std::atomic<bool> stopped_ = false;
};

class EpochWithWorkers : public LoadedEpoch {
 public:
  EpochWithWorkers(const EpochOptions& options, uint64_t seed, Load load)
      : batches_(options), workers_(options.num_workers, seed, std::move(load)) {
    workers_.start();
    for (int64_t i = 0; i < options.prefetch_factor * options.num_workers; ++i) put();
  }

  std::shared_ptr<void> next() override {
    if (taken_ == given_) return nullptr;
    Result result = workers_.take(taken_++);
    put();
    if (result.error) std::rethrow_exception(result.error);
    return std::move(result.batch);
  }

 private:
  void put() {
    Indices indices = batches_.next();
    if (!indices.empty()) workers_.put(given_++, std::move(indices));
  }

  Batches batches_;
  int64_t given_ = 0;
  int64_t taken_ = 0;
  Workers workers_;
};

}  // namespace

LoadedEpoch::~LoadedEpoch() = default;

std::unique_ptr<LoadedEpoch> LoadedEpoch::start(const EpochOptions& options, Load load) {
  // Python draws it without workers too, and before the sampler draws.
  const auto seed = at::empty({}, torch::kLong).random_(options.generator).item<int64_t>();
  if (options.num_workers == 0) {
    return std::make_unique<EpochWithoutWorkers>(options, std::move(load));
  }
  return std::make_unique<EpochWithWorkers>(options, static_cast<uint64_t>(seed), std::move(load));
}

EpochOptions checked(EpochOptions options, int64_t size, bool shuffle) {
  const auto check = [](const char* option, int64_t least, int64_t value) {
    TORCH_CHECK_VALUE(value >= least, "DataLoader: expected ", option, " >= ", least, ", got ",
                      value);
  };
  check("batch_size", 1, options.batch_size);
  check("num_workers", 0, options.num_workers);
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
  return (options.drop_last ? size : size + options.batch_size - 1) / options.batch_size;
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

torch::Tensor stacked(const std::vector<torch::Tensor>& tensors) {
  return at::stack(tensors);
}

}  // namespace convkit::data::detail

#pragma once

#include <convkit/collate.h>
#include <convkit/dataset.h>
#include <convkit/sampler.h>
#include <convkit/tree.h>

#include <ATen/core/Generator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

/// Python's DataLoader: its order, its batches and its random numbers under the same seed.
///
///     convkit::data::DataLoader loader(dataset, {.batch_size = 32, .shuffle = true, .num_workers = 4});
///     for (const auto& [images, labels] : loader) train(images, labels);
namespace convkit::data {

/// Options of DataLoader.
template <typename Example, typename Batch>
struct DataLoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;  ///< by a RandomSampler with `generator`
  std::shared_ptr<const Sampler> sampler =
      nullptr;              ///< in place of the dataset's order, or shuffle
  int64_t num_workers = 0;  ///< threads that load batches ahead
  bool drop_last = false;   ///< leaves out a last batch that is not whole
  /// Draws the seeds of the workers, and what shuffle draws; the default generator without it.
  std::optional<at::Generator> generator = {};
  int64_t prefetch_factor = 2;  ///< how many batches each worker is ahead
  std::function<Batch(std::vector<Example> examples)> collate = {};  ///< else default_collate()
};

namespace detail {

struct EpochOptions {
  int64_t batch_size;
  std::shared_ptr<const Sampler> sampler;
  int64_t num_workers;
  bool drop_last;
  std::optional<at::Generator> generator;
  int64_t prefetch_factor;
};

/// Loads the batch of some indices; null once `stopped`.
using Load = std::function<std::shared_ptr<void>(const std::vector<int64_t>& indices,
                                                 const std::optional<at::Generator>& generator,
                                                 const std::atomic<bool>& stopped)>;

/// One pass over the dataset. It ends its threads when it is destroyed.
class CONVKIT_API LoadedEpoch {
 public:
  /// Begins one, or goes on with that of a state.
  static std::unique_ptr<LoadedEpoch> start(const EpochOptions& options, Load load,
                                            const Tree& state);

  virtual ~LoadedEpoch();
  /// The next batch; null at the end.
  virtual std::shared_ptr<void> next() = 0;
  /// Adds what an epoch that has not ended needs to go on.
  virtual void add_to(Tree& state) const = 0;
};

/// The state of a loader's generators, and of its epoch unless that is null.
CONVKIT_API Tree state_of(const EpochOptions& options, const LoadedEpoch* epoch);
/// Sets the generators; returns the state if an epoch has not ended in it, and else None.
CONVKIT_API Tree load_state(const EpochOptions& options, const Tree& state);

/// Checks the options, and makes the sampler that they ask for.
CONVKIT_API EpochOptions checked(EpochOptions options, int64_t size, bool shuffle);
CONVKIT_API int64_t batches(const EpochOptions& options);

/// Throws the exception that is being handled with the index of the example that caused it.
[[noreturn]] CONVKIT_API void rethrow_with_index(int64_t index);

}  // namespace detail

/// Batches of a dataset's examples, epoch after epoch. Each range-for is an epoch.
///
/// Without workers, get() draws its random numbers from the default generator. With them, worker w is
/// a thread whose generator has a new seed in each epoch, one drawn number plus w; it loads the batches
/// w, w + num_workers, ... with one thread of LibTorch's, and the batches come in their order.
///
/// An exception of get() arrives where its batch would, with the example's index: a c10::Error with
/// one more line, and another std::exception nested in a std::runtime_error.
///
/// Throws:  c10::ValueError for a batch_size or prefetch_factor below 1, num_workers below 0 or
///          above 1024, a sampler beside shuffle, an empty dataset with shuffle
/// Source:  torch.utils.data.DataLoader
/// Differs: batch_size=None, batch_sampler, pin_memory, timeout, persistent_workers, in_order=False,
///          worker_init_fn and iterable datasets are not there. prefetch_factor is allowed without
///          workers, where nothing is loaded ahead.
template <Dataset D, typename Batch = Collated<ExampleOf<D>>>
class DataLoader {
 public:
  using Options = DataLoaderOptions<ExampleOf<D>, Batch>;  ///< what the constructors take

  explicit DataLoader(D dataset, DataLoaderOptions<ExampleOf<D>, Batch> options = {})
      : DataLoader(std::make_shared<const D>(std::move(dataset)), std::move(options)) {}
  explicit DataLoader(std::shared_ptr<const D> dataset,
                      DataLoaderOptions<ExampleOf<D>, Batch> options = {})
      : dataset_(std::move(dataset)),
        collate_(std::move(options.collate)),
        options_(detail::checked({.batch_size = options.batch_size,
                                  .sampler = std::move(options.sampler),
                                  .num_workers = options.num_workers,
                                  .drop_last = options.drop_last,
                                  .generator = std::move(options.generator),
                                  .prefetch_factor = options.prefetch_factor},
                                 dataset_->size(), options.shuffle)) {
    if constexpr (requires { requires std::same_as<Collated<ExampleOf<D>>, Batch>; }) {
      if (!collate_) collate_ = &default_collate<ExampleOf<D>>;
    }
    TORCH_CHECK_VALUE(collate_, "DataLoader: expected collate for examples of such a type");
  }

  /// The batches of an epoch, one after the other; its threads end with its last copy.
  class Iterator {
   public:
    using value_type = Batch;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(std::shared_ptr<detail::LoadedEpoch> epoch) : epoch_(std::move(epoch)) {
      ++*this;
    }

    Batch& operator*() const { return *batch_; }
    Batch* operator->() const { return batch_.get(); }
    Iterator& operator++() {
      batch_ = std::static_pointer_cast<Batch>(epoch_->next());
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return batch_ == nullptr; }

   private:
    std::shared_ptr<detail::LoadedEpoch> epoch_;
    std::shared_ptr<Batch> batch_;
  };

  /// Starts an epoch, and loads its first batch.
  Iterator begin() {
    std::shared_ptr epoch =
        detail::LoadedEpoch::start(options_, load(), std::exchange(state_, Tree()));
    epoch_ = epoch;
    return Iterator(std::move(epoch));
  }
  /// Where the epoch is over.
  std::default_sentinel_t end() const { return {}; }

  /// How many batches an epoch has.
  int64_t size() const { return detail::batches(options_); }
  /// The dataset that it was made with.
  const D& dataset() const { return *dataset_; }

  /// All that a training needs to go on with the same batches, in the middle of an epoch too: how many
  /// batches were taken of the epoch that was started last, and the states of the default generator,
  /// the loader's, the sampler's and the workers'. Within the loop over an epoch; after it, the next
  /// loop is a whole epoch.
  Tree state_dict() const {
    return state_.is_none() ? detail::state_of(options_, epoch_.lock().get()) : state_;
  }
  /// Sets the generators, so load it after all else. In the middle of an epoch, the next loop begins
  /// after the batches that were taken, which are not loaded again: after the last one it has none. The
  /// epoch of a DistributedSampler has to be set as it was.
  ///
  /// Throws:  c10::ValueError for what is no state of such a loader, before anything is changed
  void load_state_dict(const Tree& state) { state_ = detail::load_state(options_, state); }

 private:
  detail::Load load() const {
    return [dataset = dataset_, collate = collate_](
               const std::vector<int64_t>& indices, const std::optional<at::Generator>& generator,
               const std::atomic<bool>& stopped) -> std::shared_ptr<void> {
      std::vector<ExampleOf<D>> examples;
      examples.reserve(indices.size());
      for (const int64_t index : indices) {
        if (stopped) return nullptr;
        try {
          examples.push_back(dataset->get(index, generator));
        } catch (...) {
          detail::rethrow_with_index(index);
        }
      }
      return std::make_shared<Batch>(collate(std::move(examples)));
    };
  }

  std::shared_ptr<const D> dataset_;
  std::function<Batch(std::vector<ExampleOf<D>>)> collate_;
  detail::EpochOptions options_;
  std::weak_ptr<detail::LoadedEpoch> epoch_;
  Tree state_;  // that the next epoch goes on with
};

}  // namespace convkit::data

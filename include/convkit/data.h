#pragma once

#include <convkit/dataset.h>
#include <convkit/sampler.h>

#include <torch/types.h>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Python's DataLoader: its order, its batches and its random numbers under the same seed.
///
///     convkit::data::DataLoader loader(dataset, {.batch_size = 32, .shuffle = true, .num_workers = 4});
///     for (const auto& [images, labels] : loader) { ... }
namespace convkit::data {

namespace detail {

CONVKIT_API torch::Tensor stacked(const std::vector<torch::Tensor>& tensors);

/// What default_collate() makes of examples of one type.
template <typename T>
struct Collate;

}  // namespace detail

/// A batch of examples: tensors are stacked; whole numbers become a tensor of int64, other numbers one
/// of float64, and bools one of bool; texts stay as they are. A pair, tuple, array, vector or map of
/// such becomes one of their batches.
///
/// Throws:  c10::Error for tensors of several shapes, and vectors of several sizes
/// Source:  torch.utils.data.default_collate, which makes lists of tuples
template <typename T>
auto default_collate(const std::vector<T>& examples) -> decltype(detail::Collate<T>::of(examples)) {
  return detail::Collate<T>::of(examples);
}

/// What default_collate() makes of such examples.
template <typename T>
using Collated = decltype(default_collate(std::declval<const std::vector<T>&>()));

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
  static std::unique_ptr<LoadedEpoch> start(const EpochOptions& options, Load load);

  virtual ~LoadedEpoch();
  /// The next batch; null at the end.
  virtual std::shared_ptr<void> next() = 0;
};

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
/// Throws:  c10::ValueError for a batch_size or prefetch_factor below 1, num_workers below 0, a
///          sampler beside shuffle, an empty dataset with shuffle
/// Source:  torch.utils.data.DataLoader
/// Differs: batch_size=None, batch_sampler, pin_memory, timeout, persistent_workers, in_order=False,
///          worker_init_fn and iterable datasets are not there. prefetch_factor is allowed without
///          workers, where nothing is loaded ahead.
template <Dataset D, typename Batch = Collated<ExampleOf<D>>>
class DataLoader {
 public:
  using Options = DataLoaderOptions<ExampleOf<D>, Batch>;

  explicit DataLoader(D dataset, DataLoaderOptions<ExampleOf<D>, Batch> options = {})
      : dataset_(std::make_shared<const D>(std::move(dataset))),
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
  Iterator begin() { return Iterator(detail::LoadedEpoch::start(options_, load())); }
  std::default_sentinel_t end() const { return {}; }

  /// How many batches an epoch has.
  int64_t size() const { return detail::batches(options_); }
  const D& dataset() const { return *dataset_; }

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
};

namespace detail {

template <>
struct Collate<torch::Tensor> {
  static torch::Tensor of(const std::vector<torch::Tensor>& examples) { return stacked(examples); }
};

template <typename T>
  requires std::is_arithmetic_v<T>
struct Collate<T> {
  static torch::Tensor of(const std::vector<T>& examples) {
    using Value = std::conditional_t<std::same_as<T, bool>, bool,
                                     std::conditional_t<std::integral<T>, int64_t, double>>;
    torch::Tensor batch =
        at::empty({static_cast<int64_t>(examples.size())}, c10::CppTypeToScalarType<Value>::value);
    Value* data = batch.mutable_data_ptr<Value>();
    for (const T example : examples) *data++ = static_cast<Value>(example);
    return batch;
  }
};

template <>
struct Collate<std::string> {
  static std::vector<std::string> of(const std::vector<std::string>& examples) { return examples; }
};

/// The batch of one part of every example.
template <typename T, typename F>
auto part(const std::vector<T>& examples, F of) {
  std::vector<std::decay_t<decltype(of(examples.front()))>> parts;
  for (const T& example : examples) parts.push_back(of(example));
  return default_collate(parts);
}

template <typename A, typename B>
struct Collate<std::pair<A, B>> {
  static std::pair<Collated<A>, Collated<B>> of(const std::vector<std::pair<A, B>>& examples) {
    return {part(examples, [](const auto& pair) { return pair.first; }),
            part(examples, [](const auto& pair) { return pair.second; })};
  }
};

template <typename... T>
struct Collate<std::tuple<T...>> {
  static std::tuple<Collated<T>...> of(const std::vector<std::tuple<T...>>& examples) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple<Collated<T>...>{
          part(examples, [](const auto& tuple) { return std::get<I>(tuple); })...};
    }(std::index_sequence_for<T...>());
  }
};

template <typename T, std::size_t N>
struct Collate<std::array<T, N>> {
  static std::array<Collated<T>, N> of(const std::vector<std::array<T, N>>& examples) {
    std::array<Collated<T>, N> batch;
    for (std::size_t i = 0; i < N; ++i) {
      batch[i] = part(examples, [i](const auto& array) { return array[i]; });
    }
    return batch;
  }
};

template <typename T>
struct Collate<std::vector<T>> {
  static std::vector<Collated<T>> of(const std::vector<std::vector<T>>& examples) {
    const std::size_t size = examples.front().size();
    for (const std::vector<T>& example : examples) {
      TORCH_CHECK(example.size() == size, "default_collate: expected vectors of ", size,
                  " items, as the first one has, got ", example.size());
    }
    std::vector<Collated<T>> batch;
    for (std::size_t i = 0; i < size; ++i) {
      batch.push_back(part(examples, [i](const auto& vector) { return T(vector[i]); }));
    }
    return batch;
  }
};

template <typename Key, typename T>
struct Collate<std::map<Key, T>> {
  static std::map<Key, Collated<T>> of(const std::vector<std::map<Key, T>>& examples) {
    std::map<Key, Collated<T>> batch;
    for (const auto& [key, value] : examples.front()) {
      batch.emplace(key, part(examples, [&](const auto& map) { return map.at(key); }));
    }
    return batch;
  }
};

}  // namespace detail

}  // namespace convkit::data

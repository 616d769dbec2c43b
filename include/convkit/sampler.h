#pragma once

#include <convkit/module.h>

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

/// The order in which a DataLoader takes a dataset's examples: Python's, under the same seed.
namespace convkit::data {

/// Gives the indices of a dataset's examples, epoch after epoch. One of your own may give them in any
/// portions: what it draws, it draws when it is asked for them.
///
/// Source:  torch.utils.data.Sampler
class CONVKIT_API Sampler {
 public:
  /// Gives the next indices of an epoch at each call, and none at its end.
  using Epoch = std::function<std::vector<int64_t>()>;

  virtual ~Sampler();

  /// How many indices an epoch has.
  virtual int64_t size() const = 0;
  /// Begins an epoch. The sampler has to outlive what is returned.
  virtual Epoch start() const = 0;
  /// The generator that it draws from, where it is one of its own: a DataLoader saves its state.
  virtual std::optional<at::Generator> generator() const { return {}; }
};

/// 0, 1, ..., size - 1
///
/// Throws:  c10::ValueError for a size below 0
/// Source:  torch.utils.data.SequentialSampler
class CONVKIT_API SequentialSampler : public Sampler {
 public:
  explicit SequentialSampler(int64_t size);

  int64_t size() const override { return size_; }
  Epoch start() const override;

 private:
  int64_t size_;
};

/// Options of RandomSampler.
struct RandomSamplerOptions {
  bool replacement = false;  ///< the same index may come again before all others came
  std::optional<int64_t> num_samples = {};  ///< of an epoch; by default the dataset's size
  /// Without it, each epoch has a generator whose seed the default generator draws.
  std::optional<at::Generator> generator = {};
};

/// Indices at random: whole permutations, one after the other, or each by itself.
///
/// Throws:  c10::ValueError for a size or num_samples below 1
/// Source:  torch.utils.data.RandomSampler
class CONVKIT_API RandomSampler : public Sampler {
 public:
  explicit RandomSampler(int64_t size, RandomSamplerOptions options = {});

  int64_t size() const override { return options_.num_samples.value_or(size_); }
  Epoch start() const override;
  std::optional<at::Generator> generator() const override { return options_.generator; }

 private:
  int64_t size_;
  RandomSamplerOptions options_;
};

/// The given indices in random order.
///
/// Source:  torch.utils.data.SubsetRandomSampler
class CONVKIT_API SubsetRandomSampler : public Sampler {
 public:
  explicit SubsetRandomSampler(std::vector<int64_t> indices,
                               std::optional<at::Generator> generator = {});

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  Epoch start() const override;
  std::optional<at::Generator> generator() const override { return generator_; }

 private:
  std::vector<int64_t> indices_;
  std::optional<at::Generator> generator_;
};

/// Options of WeightedRandomSampler.
struct WeightedRandomSamplerOptions {
  bool replacement = true;
  std::optional<at::Generator> generator = {};
};

/// Index i with a probability in proportion to weights[i].
///
/// Shape:   weights [N]
/// Throws:  c10::ValueError for weights of other than one dimension, for num_samples below 1, and for
///          more than N of them without replacement
/// Source:  torch.utils.data.WeightedRandomSampler
class CONVKIT_API WeightedRandomSampler : public Sampler {
 public:
  WeightedRandomSampler(const torch::Tensor& weights, int64_t num_samples,
                        WeightedRandomSamplerOptions options = {});

  int64_t size() const override { return num_samples_; }
  Epoch start() const override;
  std::optional<at::Generator> generator() const override { return options_.generator; }

 private:
  torch::Tensor weights_;
  int64_t num_samples_;
  WeightedRandomSamplerOptions options_;
};

/// Options of DistributedSampler.
struct DistributedSamplerOptions {
  int64_t num_replicas;  ///< how many processes share the dataset
  int64_t rank;          ///< which of them this is, from 0
  bool shuffle = true;
  int64_t seed = 0;  ///< the same in all processes
  /// Whether examples are left out, rather than repeated, where the replicas do not divide the size.
  bool drop_last = false;
};

/// One process's part of a dataset, of which every process takes as many.
///
/// Throws:  c10::ValueError for a size below 0, and a rank outside of 0 to num_replicas - 1
/// Source:  torch.utils.data.DistributedSampler
class CONVKIT_API DistributedSampler : public Sampler {
 public:
  DistributedSampler(int64_t size, DistributedSamplerOptions options);

  /// Says which epoch is next: without it, all epochs have one order.
  void set_epoch(int64_t epoch) { epoch_ = epoch; }

  int64_t size() const override;
  Epoch start() const override;

 private:
  int64_t size_;
  DistributedSamplerOptions options_;
  int64_t epoch_ = 0;
};

}  // namespace convkit::data

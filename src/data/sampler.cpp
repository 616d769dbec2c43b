#include <convkit/sampler.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/multinomial.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randperm.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace convkit::data {

namespace {

using Indices = std::vector<int64_t>;

Indices indices_of(const torch::Tensor& tensor) {
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

Indices permutation(int64_t size, const std::optional<at::Generator>& generator) {
  return indices_of(at::randperm(size, generator, torch::kLong));
}

/// An epoch that is one portion, made when it is asked for.
template <typename F>
Sampler::Epoch at_once(F make) {
  return [make, done = false]() mutable { return std::exchange(done, true) ? Indices() : make(); };
}

void check_size(const char* sampler, int64_t size) {
  TORCH_CHECK_VALUE(size >= 0, sampler, ": expected size >= 0, got ", size);
}

void check_num_samples(const char* sampler, int64_t num_samples) {
  TORCH_CHECK_VALUE(num_samples >= 1, sampler, ": expected num_samples >= 1, got ", num_samples);
}

}  // namespace

Sampler::~Sampler() = default;

SequentialSampler::SequentialSampler(int64_t size) : size_(size) {
  check_size("SequentialSampler", size);
}

Sampler::Epoch SequentialSampler::start() const {
  return at_once([size = size_] {
    Indices all(static_cast<std::size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    return all;
  });
}

RandomSampler::RandomSampler(int64_t size, RandomSamplerOptions options)
    : size_(size), options_(std::move(options)) {
  TORCH_CHECK_VALUE(size >= 1, "RandomSampler: expected size >= 1, got ", size);
  check_num_samples("RandomSampler", this->size());
}

Sampler::Epoch RandomSampler::start() const {
  // The portions are Python's: the last one, which is not whole, is drawn even where it gives nothing.
  const int64_t portion = options_.replacement ? 32 : size_;
  return [this, portion, given = options_.generator, left = size()]() mutable -> Indices {
    if (left < 0) return {};
    if (!given) {
      const auto seed = at::empty({}, torch::kLong).random_().item<int64_t>();
      given = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
    }
    const int64_t count = std::min(left, portion);
    left = count < portion ? -1 : left - count;
    if (options_.replacement) {
      return indices_of(at::randint(size_, {count}, given, torch::kLong));
    }
    Indices indices = permutation(size_, given);
    indices.resize(static_cast<std::size_t>(count));
    return indices;
  };
}

SubsetRandomSampler::SubsetRandomSampler(std::vector<int64_t> indices,
                                         std::optional<at::Generator> generator)
    : indices_(std::move(indices)), generator_(std::move(generator)) {}

Sampler::Epoch SubsetRandomSampler::start() const {
  return at_once([this] {
    Indices order = permutation(size(), generator_);
    for (int64_t& index : order) index = indices_[static_cast<std::size_t>(index)];
    return order;
  });
}

WeightedRandomSampler::WeightedRandomSampler(const torch::Tensor& weights, int64_t num_samples,
                                             WeightedRandomSamplerOptions options)
    : num_samples_(num_samples), options_(std::move(options)) {
  TORCH_CHECK_VALUE(weights.dim() == 1, "WeightedRandomSampler: expected weights [N], got ",
                    weights.sizes());
  check_num_samples("WeightedRandomSampler", num_samples);
  TORCH_CHECK_VALUE(options_.replacement || num_samples <= weights.size(0),
                    "WeightedRandomSampler: expected num_samples <= ", weights.size(0),
                    " without replacement, got ", num_samples);
  weights_ = weights.to(torch::kCPU, torch::kDouble);
}

Sampler::Epoch WeightedRandomSampler::start() const {
  return at_once([this] {
    return indices_of(
        at::multinomial(weights_, num_samples_, options_.replacement, options_.generator));
  });
}

DistributedSampler::DistributedSampler(int64_t size, DistributedSamplerOptions options)
    : size_(size), options_(options) {
  check_size("DistributedSampler", size);
  TORCH_CHECK_VALUE(options.rank >= 0 && options.rank < options.num_replicas,
                    "DistributedSampler: expected a rank from 0 to ", options.num_replicas - 1,
                    ", got ", options.rank);
}

int64_t DistributedSampler::size() const {
  const int64_t replicas = options_.num_replicas;
  return (options_.drop_last ? size_ : size_ + replicas - 1) / replicas;
}

Sampler::Epoch DistributedSampler::start() const {
  return at_once([this, epoch = epoch_] {
    Indices order(static_cast<std::size_t>(size_));
    std::iota(order.begin(), order.end(), 0);
    if (options_.shuffle) {
      const auto seed = static_cast<uint64_t>(options_.seed) + static_cast<uint64_t>(epoch);
      order = permutation(size_, at::detail::createCPUGenerator(seed));
    }
    Indices own;
    for (int64_t i = 0; i < size(); ++i) {
      // Past its end the order begins again.
      own.push_back(
          order[static_cast<std::size_t>((options_.rank + i * options_.num_replicas) % size_)]);
    }
    return own;
  });
}

}  // namespace convkit::data

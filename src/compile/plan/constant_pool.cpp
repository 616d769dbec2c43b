#include "compile/plan/constant_pool.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace convkit::detail {

namespace {

/// One of each element that others only repeat.
torch::Tensor without_repetitions(torch::Tensor tensor) {
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    if (tensor.stride(i) == 0 && tensor.size(i) > 1) tensor = tensor.narrow(i, 0, 1);
  }
  return tensor;
}

/// Whether the elements are, in some order, all of a piece of memory, as they are there.
bool is_plain_memory(const torch::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense() && !tensor.is_neg() && !tensor.is_conj() &&
         !tensor._is_zerotensor();
}

}  // namespace

torch::Tensor ConstantPool::copy_of(const torch::Tensor& tensor) {
  const torch::Tensor given = tensor.detach();
  if (!given.is_cpu() || given.layout() != torch::kStrided || given.numel() == 0) {
    return given.clone();
  }
  const torch::Tensor once = without_repetitions(given);
  if (once.numel() < given.numel()) return copy_of(once).expand(given.sizes());

  torch::Tensor own = is_plain_memory(given) ? given : given.clone();
  const uint64_t digest = digest_of(own.const_data_ptr(), own.nbytes());
  const std::lock_guard lock(mutex_);
  c10::Storage memory = find(digest, own.const_data_ptr(), own.nbytes());
  if (!memory) {
    if (own.is_same(given)) own = given.clone();
    memory = own.storage();
    add(digest, memory);
  }
  return at::empty({0}, own.options()).set_(memory, 0, own.sizes(), own.strides());
}

c10::Storage ConstantPool::share(const c10::Storage& fresh) {
  if (fresh.nbytes() == 0) return fresh;
  const uint64_t digest = digest_of(fresh.data(), fresh.nbytes());
  const std::lock_guard lock(mutex_);
  if (c10::Storage known = find(digest, fresh.data(), fresh.nbytes())) return known;
  add(digest, fresh);
  return fresh;
}

std::size_t ConstantPool::bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& [digest, memory] : known_) {
    if (const auto alive = memory.lock()) sum += alive->nbytes();
  }
  return sum;
}

/// Bytes are compared, too: a digest may be that of others.
c10::Storage ConstantPool::find(uint64_t digest, const void* data, std::size_t bytes) const {
  const auto [first, last] = known_.equal_range(digest);
  for (auto known = first; known != last; ++known) {
    auto alive = known->second.lock();
    if (alive && alive->nbytes() == bytes && std::memcmp(alive->data(), data, bytes) == 0) {
      return c10::Storage(std::move(alive));
    }
  }
  return {};
}

void ConstantPool::add(uint64_t digest, const c10::Storage& memory) {
  if (known_.size() >= swept_at_) {
    std::erase_if(known_, [](const auto& known) { return known.second.expired(); });
    swept_at_ = std::max<std::size_t>(64, 2 * known_.size());
  }
  known_.emplace(digest, memory.getWeakStorageImpl());
}

uint64_t digest_of(const void* data, std::size_t bytes) {
  // Eight lanes, as one multiplication takes as long as eight that do not wait for each other.
  constexpr std::size_t kLanes = 8;
  constexpr uint64_t kFactor = 0x9e37'79b9'7f4a'7c15;
  std::array<uint64_t, kLanes> lanes{1, 2, 3, 4, 5, 6, 7, 8};
  const auto mix = [](uint64_t lane, uint64_t word) {
    const uint64_t both = lane ^ word;
    return std::rotl((both ^ (both >> 32)) * kFactor, 29);  // or high bits would reach few others
  };
  const auto* next = static_cast<const char*>(data);
  std::array<uint64_t, kLanes> words{};
  for (std::size_t left = bytes; left > 0;) {
    const std::size_t step = std::min(left, sizeof(words));
    if (step < sizeof(words)) words = {};
    std::memcpy(words.data(), next, step);
    for (std::size_t i = 0; i < kLanes; ++i) lanes[i] = mix(lanes[i], words[i]);
    next += step;
    left -= step;
  }
  uint64_t result = mix(kFactor, bytes);
  for (const uint64_t lane : lanes) result = mix(result, lane);
  return result;
}

}  // namespace convkit::detail

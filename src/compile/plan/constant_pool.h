#pragma once

#include <c10/core/Storage.h>
#include <torch/types.h>

#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace convkit::detail {

/// Holds the constants of all plans of a compiled module: equal bytes are held once, whatever tensors or
/// weights of oneDNN's they are, and for as long as something has them. Several threads may use it at once.
class ConstantPool {
 public:
  /// A copy of a tensor, of the same sizes and type, and of the same strides where no elements share memory
  /// or some are expanded. Nobody may write to it.
  torch::Tensor copy_of(const torch::Tensor& tensor);

  /// Memory on the CPU that holds the same bytes: `fresh` itself, or what an earlier call has given and
  /// somebody still has. Nobody may write to either from now on.
  c10::Storage share(const c10::Storage& fresh);

  /// How many bytes it knows of that somebody still has.
  [[nodiscard]] std::size_t bytes() const;

 private:
  using Weak = c10::weak_intrusive_ptr<c10::StorageImpl>;

  c10::Storage find(uint64_t digest, const void* data, std::size_t bytes) const;
  void add(uint64_t digest, const c10::Storage& memory);

  mutable std::mutex mutex_;
  std::unordered_multimap<uint64_t, Weak> known_;  ///< by the digest of their bytes
  std::size_t swept_at_ = 64;                      ///< how many of them there are when dead ones go
};

/// A number that nearly always differs between different bytes, at some gigabytes a second.
uint64_t digest_of(const void* data, std::size_t bytes);

}  // namespace convkit::detail

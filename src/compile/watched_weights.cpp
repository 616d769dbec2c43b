#include "compile/watched_weights.h"

#include "compile/tape/refusals.h"

#include <algorithm>
#include <cstring>

namespace convkit::detail {

void WatchedWeights::look_at(const std::shared_ptr<torch::nn::Module>& module) {
  modules_.clear();
  modules_.emplace_back("", module);
  for (const auto& item : module->named_modules("", /*include_self=*/false)) {
    modules_.emplace_back(item.key(), item.value());
  }
  tensors_.clear();
  bytes_ = 0;
  const auto add = [&](const torch::Tensor& tensor) {
    tensors_.emplace_back(tensor);
    if (tensor.has_storage()) bytes_ += tensor.storage().nbytes();
  };
  for (const torch::Tensor& tensor : module->parameters()) add(tensor);
  for (const torch::Tensor& tensor : module->buffers()) add(tensor);
}

bool WatchedWeights::have_changed() const {
  return std::any_of(tensors_.begin(), tensors_.end(),
                     [](const Glance& glance) { return glance.has_changed(); });
}

void WatchedWeights::check_eval_mode() const {
  for (const auto& [name, module] : modules_) check_eval(name, *module);
}

WatchedWeights::Glance::Glance(torch::Tensor tensor)
    : tensor_(std::move(tensor)), has_memory_(tensor_.defined() && tensor_.has_storage()) {
  if (!tensor_.defined()) return;
  numel_ = tensor_.numel();
  version_ = version();
  if (!has_memory_) return;
  data_ = memory();
  find_samples();
  samples_ = samples();
}

bool WatchedWeights::Glance::has_changed() const {
  if (!tensor_.defined()) return false;
  if (version() != version_ || tensor_.unsafeGetTensorImpl()->numel() != numel_) return true;
  return has_memory_ && (memory() != data_ || samples() != samples_);
}

/// The first element, the last one and two between them, wherever strides put them: as long as the tensor has
/// the same memory and version, it has them there.
void WatchedWeights::Glance::find_samples() {
  if (!tensor_.is_cpu() || data_ == nullptr || numel_ == 0) return;
  sample_bytes_ = std::min<std::size_t>(tensor_.itemsize(), sizeof(int64_t));
  for (std::size_t i = 0; i < kSamples; ++i) {
    int64_t element = (numel_ - 1) * static_cast<int64_t>(i) / (kSamples - 1);
    int64_t offset = 0;
    for (int64_t dim = tensor_.dim(); dim-- > 0;) {
      offset += element % tensor_.size(dim) * tensor_.stride(dim);
      element /= tensor_.size(dim);
    }
    offsets_.at(i) = static_cast<std::size_t>(offset) * tensor_.itemsize();
  }
}

const void* WatchedWeights::Glance::memory() const {
  return tensor_.unsafeGetTensorImpl()->data();
}

uint32_t WatchedWeights::Glance::version() const {
  const c10::TensorImpl* impl = tensor_.unsafeGetTensorImpl();
  return tensor_.is_inference() ? 0 : impl->version_counter().current_version();
}

WatchedWeights::Glance::Samples WatchedWeights::Glance::samples() const {
  Samples result{};
  if (sample_bytes_ == 0) return result;
  const auto* bytes = static_cast<const char*>(data_);
  for (std::size_t i = 0; i < kSamples; ++i) {
    std::memcpy(&result[i], bytes + offsets_[i], sample_bytes_);
  }
  return result;
}

}  // namespace convkit::detail

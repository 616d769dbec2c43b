#include "compile/watched_weights.h"

#include "compile/tape/refusals.h"

#include <algorithm>
#include <cstring>

namespace convkit::detail {

void WatchedWeights::look_at(const torch::nn::Module& module) {
  modules_.clear();
  for (const auto& item : module.named_modules()) modules_.emplace_back(item.key(), item.value());
  tensors_.clear();
  const auto add = [&](const torch::Tensor& tensor) {
    tensors_.emplace_back(tensor, glance_at(tensor));
  };
  for (const torch::Tensor& tensor : module.parameters()) add(tensor);
  for (const torch::Tensor& tensor : module.buffers()) add(tensor);
}

bool WatchedWeights::have_changed() const {
  return std::any_of(tensors_.begin(), tensors_.end(), [](const auto& watched) {
    return watched.second != glance_at(watched.first);
  });
}

void WatchedWeights::check_eval_mode() const {
  for (const auto& [name, module] : modules_) check_eval(name, *module);
}

WatchedWeights::Glance WatchedWeights::glance_at(const torch::Tensor& tensor) {
  const c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
  Glance glance;
  glance.data = impl->data();
  if (!tensor.is_inference()) glance.version = impl->version_counter().current_version();
  const int64_t count = impl->numel();
  if (!tensor.is_cpu() || count == 0) return glance;
  const std::size_t size = std::min(impl->itemsize(), sizeof(int64_t));
  const auto* bytes = static_cast<const char*>(impl->data());
  for (std::size_t i = 0; i < glance.samples.size(); ++i) {
    const auto element = static_cast<std::size_t>(count - 1) * i / 3;
    std::memcpy(&glance.samples.at(i), bytes + element * impl->itemsize(), size);
  }
  return glance;
}

}  // namespace convkit::detail

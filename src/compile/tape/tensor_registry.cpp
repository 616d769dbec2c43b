#include "compile/tape/tensor_registry.h"

#include "compile/tape/refusals.h"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <utility>

namespace convkit::detail {

namespace {

uint32_t version_of(const torch::Tensor& tensor) {
  return tensor.is_inference() ? 0
                               : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

}  // namespace

bool TensorRegistry::is_tainted(int64_t id) const {
  return id >= 0 && (value(id).tainted || storage_of(id).tainted);
}

int64_t TensorRegistry::find(const torch::Tensor& tensor) {
  const auto known = known_.find(tensor.unsafeGetTensorImpl());
  if (known != known_.end()) return known->second.id;
  if (!knows_memory_of(tensor)) return -1;
  const std::size_t storage = storage_ids_.at(tensor.storage().unsafeGetStorageImpl());
  for (const c10::TensorImpl* impl : storages_.at(storage).tensors) {
    const Known& other = known_.at(impl);
    const Value& candidate = value(other.id);
    if (candidate.sizes == tensor.sizes() && candidate.strides == tensor.strides() &&
        candidate.dtype == tensor.scalar_type() && other.offset == tensor.storage_offset()) {
      const int64_t id = other.id;
      remember(tensor, id);
      return id;
    }
  }
  return -1;
}

bool TensorRegistry::knows_memory_of(const torch::Tensor& tensor) const {
  return tensor.has_storage() && storage_ids_.contains(tensor.storage().unsafeGetStorageImpl());
}

int64_t TensorRegistry::add(const torch::Tensor& tensor) {
  if (tensor.layout() != torch::kStrided || !tensor.has_storage() || tensor.is_quantized()) {
    std::ostringstream layout;
    layout << tensor.layout();
    refuse("expected ordinary (strided) tensors, got one of layout " + layout.str());
  }
  const c10::StorageImpl& memory = *tensor.storage().unsafeGetStorageImpl();
  if (!storage_ids_.contains(&memory)) {
    if (tensor.is_cpu() && tensor.nbytes() > 0) refuse_overlap(memory);
    storage_ids_.emplace(&memory, storages_.size());
    storages_.emplace_back(tensor.storage().getWeakStorageImpl());
    tape_.storages.emplace_back();
  }
  Value next;
  next.sizes = tensor.sizes().vec();
  next.strides = tensor.strides().vec();
  next.dtype = tensor.scalar_type();
  next.storage = static_cast<int64_t>(storage_ids_.at(&memory));
  const auto known = known_.find(tensor.unsafeGetTensorImpl());
  if (known != known_.end()) next.same_as = known->second.id;
  const auto id = static_cast<int64_t>(tape_.values.size());
  tape_.values.push_back(std::move(next));
  remember(tensor, id);
  return id;
}

void TensorRegistry::add_input(const torch::Tensor& tensor) {
  const int64_t id = add(tensor);
  fix(id, Value::Kind::kInput);
  value(id).tainted = true;
  taint(storage_index(id));
}

int64_t TensorRegistry::add_constant(const torch::Tensor& tensor, const std::string& name) {
  if (!tensor.defined()) return -1;
  const auto known = known_.find(tensor.unsafeGetTensorImpl());
  if (known != known_.end()) return known->second.id;  // a shared parameter, or an input
  const int64_t id = add(tensor);
  value(id).name = name;
  make_constant(id, tensor);
  return id;
}

void TensorRegistry::make_constant(int64_t id, torch::Tensor tensor) {
  fix(id, Value::Kind::kConstant);
  value(id).tensor = std::move(tensor);
  storage_of(id).unwritten = false;
}

void TensorRegistry::note_write(int64_t id, bool tainted) {
  TrackedStorage& storage = storage_of(id);
  storage.unwritten = false;
  storage.varies |= storage.read;
  if (tainted) taint(storage_index(id));
}

void TensorRegistry::check_version(const torch::Tensor& tensor, const std::string& where) const {
  const auto known = known_.find(tensor.unsafeGetTensorImpl());
  if (known != known_.end() && known->second.version != version_of(tensor)) {
    refuse("a tensor was written past LibTorch's dispatcher, or on another thread, before it was " +
           where);
  }
}

void TensorRegistry::see_version(const torch::Tensor& tensor) {
  const auto given = known_.find(tensor.unsafeGetTensorImpl());
  if (given == known_.end() || given->second.version == version_of(tensor)) return;
  // The tensors of one memory share a counter, but for those that data() made.
  for (const c10::TensorImpl* impl : storage_of(given->second.id).tensors) {
    Known& known = known_.at(impl);
    if (const auto alive = known.impl.lock()) known.version = version_of(torch::Tensor(alive));
  }
}

void TensorRegistry::remember(const torch::Tensor& tensor, int64_t id) {
  c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
  const auto [known, is_new] =
      known_.try_emplace(impl, Known{decltype(Known::impl)(tensor.getIntrusivePtr())});
  known->second.id = id;
  known->second.version = version_of(tensor);
  known->second.offset = tensor.storage_offset();
  if (!is_new) return;
  storage_of(id).tensors.push_back(impl);
  ++tape_.storages.at(storage_index(id)).tensors;
}

void TensorRegistry::fix(int64_t id, Value::Kind kind) {
  value(id).kind = kind;
  TrackedStorage& storage = storage_of(id);
  if (storage.fixed < 0) storage.fixed = id;
}

void TensorRegistry::taint(std::size_t storage) {
  TrackedStorage& tracked = storages_.at(storage);
  tracked.tainted = true;
  const auto memory = tracked.memory.lock();
  if (!memory || memory->nbytes() == 0 || !memory->device().is_cpu()) return;
  const auto* begin = static_cast<const char*>(memory->data());
  const auto known = tainted_memory_.find(begin);
  const bool is_known = known != tainted_memory_.end() && known->second.storage == storage &&
                        known->second.end == begin + memory->nbytes();
  if (is_known) return;  // unless `out=` has given it other memory
  refuse_overlap(*memory);
  tainted_memory_[begin] = {begin + memory->nbytes(), storage};
}

void TensorRegistry::refuse_overlap(const c10::StorageImpl& memory) {
  const auto* begin = static_cast<const char*>(memory.data());
  const auto* end = begin + memory.nbytes();
  auto range = tainted_memory_.upper_bound(begin);
  if (range != tainted_memory_.begin()) --range;
  while (range != tainted_memory_.end() && range->first < end) {
    const bool overlaps = begin < range->second.end;
    const auto alive = storages_.at(range->second.storage).memory.lock();
    const bool is_there = alive && alive.get() != &memory && alive->data() == range->first;
    if (overlaps && is_there) {
      refuse("the forward makes a tensor of another one's memory (from_blob)");
    }
    range = overlaps ? tainted_memory_.erase(range) : std::next(range);  // it was freed
  }
}

}  // namespace convkit::detail

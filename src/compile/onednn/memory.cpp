#include "compile/onednn/memory.h"

#include "core/strides.h"

#include <algorithm>

namespace convkit::detail {

namespace {

std::size_t index(int64_t id) {
  return static_cast<std::size_t>(id);
}

/// Gives each buffer of the workspace an offset: the largest first, each at the lowest place that no
/// buffer takes which lives at the same time.
void place_in_workspace(Program& program) {
  std::vector<Buffer*> order;
  for (Buffer& buffer : program.buffers) {
    if (buffer.kind == Buffer::Kind::kArena && buffer.used) order.push_back(&buffer);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
  std::vector<const Buffer*> placed;
  for (Buffer* buffer : order) {
    std::vector<std::pair<int64_t, int64_t>> taken;
    for (const Buffer* other : placed) {
      if (other->first <= buffer->last && buffer->first <= other->last) {
        taken.emplace_back(other->offset, other->offset + other->bytes);
      }
    }
    std::sort(taken.begin(), taken.end());
    int64_t offset = 0;
    for (const auto& [begin, end] : taken) {
      if (offset + buffer->bytes <= begin) break;
      offset = std::max(offset, static_cast<int64_t>(aligned(index(end))));
    }
    buffer->offset = offset;
    placed.push_back(buffer);
    program.separate_bytes += aligned(index(buffer->bytes));
    program.arena_bytes = std::max(program.arena_bytes, aligned(index(offset + buffer->bytes)));
  }
}

}  // namespace

ProgramMemory::ProgramMemory(const Graph& plan, const Tensors& example, torch::Dtype dtype)
    : plan_(plan),
      dtype_(dtype),
      slots_(plan.values.size()),
      last_use_(plan.values.size()),
      uses_(plan.links().uses) {
  for (std::size_t i = 0; i < example.size(); ++i) {
    Slot slot;
    slot.buffer = new_buffer(Buffer::Kind::kInput, 0, static_cast<int64_t>(i));
    slot.sizes = example[i].sizes().vec();
    slot.strides = example[i].strides().vec();
    slot.dtype = example[i].scalar_type();
    set_slot(static_cast<int64_t>(i), slot);
  }
  const auto last = plan.last_uses();
  for (std::size_t i = 0; i < last.size(); ++i) {
    for (const int64_t id : last[i]) last_use_.at(index(id)) = i;
  }
  for (const int64_t id : plan.outputs) last_use_.at(index(id)) = plan.steps.size();
}

void ProgramMemory::set_slot(int64_t id, const Slot& place) {
  slots_.at(index(id)) = place;
  holders_.at(index(place.buffer)).push_back(id);
}

int64_t ProgramMemory::new_buffer(Buffer::Kind kind, int64_t bytes, int64_t of) {
  Buffer next;
  next.kind = kind;
  next.bytes = bytes;
  next.index = of;
  buffers_.push_back(next);
  holders_.emplace_back();
  copies_in_.push_back(0);
  return static_cast<int64_t>(buffers_.size()) - 1;
}

Slot ProgramMemory::new_slot(Sizes sizes, Sizes strides, torch::Dtype dtype) {
  TORCH_CHECK(is_dense(sizes, strides), "compile: no memory for strides with gaps");
  Slot result;
  result.sizes = std::move(sizes);
  result.strides = std::move(strides);
  result.dtype = dtype;
  result.buffer = new_buffer(Buffer::Kind::kArena, bytes_of(result));
  return result;
}

Slot ProgramMemory::new_slot(int64_t id) {
  const Sizes& sizes = plan_.value(id).sizes;
  return new_slot(sizes, computing_strides(sizes), dtype_);
}

const Slot* ProgramMemory::copy_of(int64_t id, const Sizes& strides, torch::Dtype dtype) const {
  const auto known = copies_.find({id, strides, dtype});
  return known == copies_.end() ? nullptr : &known->second;
}

void ProgramMemory::keep_copy(int64_t id, const Slot& copy) {
  const CopyKey key{id, copy.strides, copy.dtype};
  if (!copies_.emplace(key, copy).second) return;
  copy_order_.push_back(key);
  ++copies_in_.at(index(copy.buffer));
}

void ProgramMemory::forget_copies_after(std::size_t count) {
  for (; copy_order_.size() > count; copy_order_.pop_back()) {
    const auto known = copies_.find(copy_order_.back());
    --copies_in_.at(index(known->second.buffer));
    copies_.erase(known);
  }
}

bool ProgramMemory::may_overwrite(const Slot& place, const Sizes& strides, std::size_t step) const {
  const Buffer& memory = buffer(place);
  if (memory.kind != Buffer::Kind::kArena || place.offset != 0 || memory.bytes != bytes_of(place) ||
      place.strides != strides || copies_in_.at(index(place.buffer)) > 0) {
    return false;
  }
  const auto& holders = holders_.at(index(place.buffer));
  return std::all_of(holders.begin(), holders.end(), [&](int64_t id) {
    return last_use_.at(index(id)) <= step && plan_.is_pure(id);
  });
}

bool ProgramMemory::is_output_alone(int64_t id) const {
  const auto found = std::find(plan_.outputs.begin(), plan_.outputs.end(), id);
  return found != plan_.outputs.end() && uses(id) == 1;
}

void ProgramMemory::place_buffers(Program& program) {
  find_lifetimes(program.commands);
  program.buffers = buffers_;
  place_in_workspace(program);
}

void ProgramMemory::find_lifetimes(const std::vector<Command>& commands) {
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (const int64_t id : buffers_of(commands[i])) {
      Buffer& memory = buffers_.at(index(id));
      memory.first = memory.used ? std::min(memory.first, i) : i;
      memory.last = memory.used ? std::max(memory.last, i) : i;
      memory.used = true;
    }
  }
  for (const int64_t id : pinned_) buffers_.at(index(id)).last = commands.size();
}

}  // namespace convkit::detail

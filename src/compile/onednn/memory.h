#pragma once

#include "compile/engines/engine.h"
#include "compile/onednn/program.h"

#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace convkit::detail {

/// Where the values of a plan lie, while it is lowered: which buffer, at which offset, in which layout.
class ProgramMemory {
 public:
  ProgramMemory(const Graph& plan, const Tensors& example, torch::Dtype dtype);

  /// The type that primitives compute in.
  [[nodiscard]] torch::Dtype dtype() const { return dtype_; }

  [[nodiscard]] const Slot& slot(int64_t id) const {
    return slots_.at(static_cast<std::size_t>(id)).value();
  }
  [[nodiscard]] bool has_slot(int64_t id) const {
    return slots_.at(static_cast<std::size_t>(id)).has_value();
  }
  void set_slot(int64_t id, const Slot& place);

  [[nodiscard]] Buffer& buffer(const Slot& slot) {
    return buffers_.at(static_cast<std::size_t>(slot.buffer));
  }
  [[nodiscard]] const Buffer& buffer(const Slot& slot) const {
    return buffers_.at(static_cast<std::size_t>(slot.buffer));
  }
  int64_t new_buffer(Buffer::Kind kind, int64_t bytes, int64_t of = -1);

  /// A place of its own. Throws c10::Error for strides with gaps: sanitizers do not see what oneDNN's
  /// kernels do, so all their memory is asked for here.
  Slot new_slot(Sizes sizes, Sizes strides, torch::Dtype dtype);
  /// A place for a value, in the layout and type that primitives compute in.
  Slot new_slot(int64_t id);

  /// The copy of a value in a layout and type that was made before; nothing where there is none.
  [[nodiscard]] const Slot* copy_of(int64_t id, const Sizes& strides, torch::Dtype dtype) const;
  void keep_copy(int64_t id, const Slot& copy);
  /// How many copies there are, and forgets those that came after `count` of them.
  [[nodiscard]] std::size_t copy_count() const { return copy_order_.size(); }
  void forget_copies_after(std::size_t count);

  /// Whether the step that runs now may put a result of these strides in the memory of `place`.
  [[nodiscard]] bool may_overwrite(const Slot& place, const Sizes& strides, std::size_t step) const;
  /// How often steps and the plan's results use a value.
  [[nodiscard]] int64_t uses(int64_t id) const { return uses_.at(static_cast<std::size_t>(id)); }
  /// Whether a value is one of the plan's results, and nothing else.
  [[nodiscard]] bool is_output_alone(int64_t id) const;

  /// Keeps a buffer's memory from others until the end: what LibTorch makes may be a view of it.
  void pin(int64_t buffer) { pinned_.push_back(buffer); }

  /// The buffers with their lifetimes in a program of these commands, and their offsets in the workspace.
  void place_buffers(Program& program);

 private:
  using CopyKey = std::tuple<int64_t, Sizes, torch::Dtype>;

  void find_lifetimes(const std::vector<Command>& commands);

  const Graph& plan_;
  torch::Dtype dtype_;
  std::vector<Buffer> buffers_;
  std::vector<std::optional<Slot>> slots_;     ///< of the values
  std::vector<std::vector<int64_t>> holders_;  ///< the values in each buffer
  std::vector<std::size_t> last_use_;          ///< of each value: a step
  std::vector<int64_t> uses_;
  std::map<CopyKey, Slot> copies_;
  std::vector<CopyKey> copy_order_;
  std::vector<int64_t> copies_in_;  ///< how many copies each buffer holds
  std::vector<int64_t> pinned_;
};

}  // namespace convkit::detail

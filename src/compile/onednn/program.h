#pragma once

#include "compile/engines/engine.h"
#include "compile/engines/lanes.h"
#include "compile/engines/planes.h"
#include "compile/engines/transpose.h"
#include "compile/engines/winograd.h"
#include "core/strides.h"

#include <dnnl.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// A plan in oneDNN's terms: which primitive reads and writes which piece of which memory.
namespace convkit::detail {

/// Memory of the program.
struct Buffer {
  enum class Kind {
    kArena,   ///< part of the workspace, at `offset`
    kInput,   ///< the memory of input `index`
    kOutput,  ///< the memory of output `index`, new at each call
    kTensor,  ///< the memory of value `index`, which an operator of LibTorch makes
  };
  Kind kind = Kind::kArena;
  int64_t bytes = 0;
  int64_t index = -1;
  int64_t offset = 0;
  std::size_t first = 0;  ///< the first command that uses it
  std::size_t last = 0;
  bool used = false;
};

/// A tensor's place.
struct Slot {
  int64_t buffer = -1;
  int64_t offset = 0;  ///< in elements, from the buffer's begin
  Sizes sizes;
  Sizes strides;
  torch::Dtype dtype = torch::kFloat32;
};

/// One argument of a primitive: memory of the program, or a constant.
struct Operand {
  int name = 0;  ///< DNNL_ARG_SRC and so on
  dnnl::memory::desc desc;
  int64_t buffer = -1;
  int64_t offset = 0;  ///< in bytes
  dnnl::memory constant;
  c10::Storage bytes;  ///< of the constant
};

/// A constant as a primitive takes it, and the memory that it is in.
struct PackedConstant {
  dnnl::memory memory;
  c10::Storage bytes;
};

struct PrimitiveCommand {
  dnnl::primitive primitive;
  std::vector<Operand> operands;
};

/// A step by LibTorch's operators.
struct StepCommand {
  Step step;
  std::vector<std::pair<int64_t, Slot>> inputs;  ///< values, and where they are
  /// Values that it makes, and the places that those who use them expect.
  std::vector<std::pair<int64_t, Slot>> outputs;
};

/// Matrices of float32 that are transposed.
struct TransposeCommand {
  Slot from;
  Slot to;
  Transposition what;
};

/// A convolution by Winograd's algorithm.
struct WinogradCommand {
  Slot from;
  Slot to;
  std::optional<Slot> added;  ///< to the result, laid out as it is
  Slot work;                  ///< of each thread: the places of its tiles, and their products
  Operand weight;             ///< transformed, and packed for each place
  Operand bias;               ///< its constant is empty without one
  lanes::LaneActivation activation;
  Sizes before;  ///< padding above and left
  int threads = 1;
  winograd::Form form;
  int64_t group = 1;  ///< tiles that a thread takes at once
};

/// A depthwise convolution, a 1x1 one, or one after the other, on images as [N, C, H, W].
struct PlanarCommand {
  Slot from;
  Slot to;
  Slot work;  ///< of each thread: rows of all channels, and room for one of them
  planes::Depthwise depthwise;
  Operand taps;  ///< its constant is empty without a depthwise convolution, and so is each bias
  Operand taps_bias;
  bool pointwise = false;
  Operand weight;
  Operand bias;
  lanes::LaneActivation activation;  ///< of the 1x1 convolution
  int threads = 1;
  int64_t rows = 1;  ///< that a thread takes at once
};

/// An activation of dense memory, which may be in place.
struct ActivationCommand {
  Slot from;
  Slot to;
  lanes::LaneActivation activation;
  int threads = 1;
};

/// A copy by LibTorch, which knows all types and strides.
struct CopyCommand {
  Slot from;
  Slot to;
};

struct Command {
  std::variant<PrimitiveCommand, StepCommand, TransposeCommand, WinogradCommand, PlanarCommand,
               ActivationCommand, CopyCommand>
      what;
  StepExplanation explanation;  ///< without `what` where the command before stands for it too
  std::vector<int64_t> drops;   ///< values of LibTorch's that nothing uses any more
};

struct Program {
  std::vector<Buffer> buffers;
  std::vector<Command> commands;
  std::vector<torch::Tensor> constants;  ///< by value, for LibTorch's operators
  struct Output {
    int64_t value = -1;
    Slot slot;
    torch::Dtype dtype = torch::kFloat32;
  };
  std::vector<Output> outputs;
  std::map<std::string, std::string> choices;  ///< as CompileOptions has them
  std::size_t arena_bytes = 0;
  std::size_t separate_bytes = 0;  ///< what the workspace would be if no buffer shared its memory
  std::size_t scratchpad_bytes = 0;
  std::size_t weight_bytes = 0;
};

dnnl::engine& cpu_engine();

int64_t bytes_of(const Slot& slot);
dnnl::memory::data_type type_of(torch::Dtype dtype);
dnnl::memory::desc desc_of(const Slot& slot);

/// The buffers that a command reads or writes, of those that the program knows beforehand.
std::vector<int64_t> buffers_of(const Command& command);

/// The next multiple of a cache line, at which buffers begin.
constexpr std::size_t kAlignment = 64;
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace convkit::detail

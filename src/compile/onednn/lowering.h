#pragma once

#include "compile/onednn/program.h"
#include "core/strides.h"

#include <dnnl.hpp>

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace convkit::detail {

/// Lowers a plan's steps, one by one, to primitives of oneDNN, or to LibTorch's operators where it
/// has none.
class Lowering {
 public:
  Lowering(const Plan& plan, const Tensors& example, const EngineOptions& options);

  Program lower();

 private:
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;

  static std::size_t index(int64_t id) { return static_cast<std::size_t>(id); }
  const Value& value(int64_t id) const { return plan_.values.at(index(id)); }
  Buffer& buffer(const Slot& slot) { return program_.buffers.at(index(slot.buffer)); }
  const Slot& slot(int64_t id) const { return slots_.at(index(id)).value(); }
  bool is_constant(int64_t id) const { return value(id).kind == Value::Kind::kConstant; }
  bool is_float(int64_t id) const { return value(id).dtype == torch::kFloat32; }
  /// One that only the plan's result is.
  bool is_output_alone(int64_t id) const;

  // ---- Places.

  int64_t new_buffer(Buffer::Kind kind, int64_t bytes, int64_t of = -1);
  void set_slot(int64_t id, const Slot& place);
  Slot new_slot(std::vector<int64_t> sizes, std::vector<int64_t> strides, torch::Dtype dtype);
  /// Of a value, in the layout that primitives compute in.
  Slot new_slot(int64_t id);
  /// The value in a layout and type: where it is, or a copy.
  Slot as(int64_t id, const std::vector<int64_t>& strides, torch::Dtype dtype);
  Slot dense(int64_t id);
  /// Whether the memory of `place` may be overwritten by this step's result.
  bool may_overwrite(const Slot& place, const std::vector<int64_t>& strides);

  // ---- Commands.

  static Operand operand(int name, const Slot& place);
  static Operand operand(int name, const Slot& place, const Desc& desc);
  Operand operand(int name, dnnl::memory constant);
  void add_primitive(const dnnl::primitive& primitive, const Desc& scratchpad,
                     std::vector<Operand> operands, std::string text);
  template <typename Descriptor>
  void add_primitive(const Descriptor& descriptor, const dnnl::primitive& primitive,
                     std::vector<Operand> operands, const std::string& what) {
    add_primitive(primitive, descriptor.scratchpad_desc(), std::move(operands),
                  what + "  (oneDNN " + descriptor.impl_info_str() + ")");
  }
  void add_copy(const Slot& from, const Slot& to, const std::string& what);
  bool add_transposition(const Slot& from, const Slot& to, const std::string& what);

  // ---- Steps. Those of oneDNN say whether it can; its errors mean that it cannot.

  bool try_to_lower(const Step& step, std::string* why);
  bool lower_operation(const Operation& operation);
  bool lower_named(const Operation& operation, const std::string& name);
  bool lower_view(const Operation& operation);
  void lower_to_libtorch(const Step& step, const std::string& why);
  void add_output(int64_t id);
  void find_lifetimes();

  // Those with weights: lowering_weighted.cpp.
  struct Prepared;
  bool lower(const Convolution& convolution);
  bool lower(const ChannelNorm& norm);
  bool lower_linear(const Convolution& convolution);
  bool lower_with_depthwise(const Convolution& convolution);
  bool lower_by_rows(const Convolution& convolution);
  const Convolution* depthwise_after(const Convolution& convolution) const;
  Prepared prepare(const Convolution& convolution, const Desc& x, const Desc& y, const Dims& left,
                   const Dims& right, const dnnl::primitive_attr& attributes);
  /// Adds what is added to the convolution's output, and returns that output's place.
  Slot add_residual(const Convolution& convolution, const Slot& x,
                    const std::vector<int64_t>& strides, dnnl::post_ops& ops,
                    std::vector<Operand>& operands);

  // Those without: lowering_layers.cpp.
  struct Window;
  void add_pool(dnnl::algorithm algorithm, const Slot& x, const Slot& y, const Window& window,
                const std::string& what);
  bool lower_max_pool(const Operation& operation, int64_t x, int64_t y);
  bool lower_average_pool(const Operation& operation, int64_t x, int64_t y);
  bool lower_adaptive_pool(int64_t x, int64_t y);
  bool lower_mean(const Operation& operation, int64_t x, int64_t y);
  bool lower_upsample(const Operation& operation, int64_t x, int64_t y, bool linear);
  bool scales_fit(const Operation& operation, int64_t x, int64_t y) const;
  bool lower_shuffle(const Operation& operation, int64_t x, int64_t y);
  bool lower_cat(const Operation& operation, int64_t y);
  bool lower_binary(const Operation& operation, const std::string& name, int64_t y);
  bool lower_eltwise(const Operation& operation, const std::string& name, int64_t x, int64_t y);

  const Plan& plan_;
  torch::Dtype dtype_;
  std::optional<torch::MemoryFormat> memory_format_;
  int threads_;
  Program program_;
  std::size_t step_ = 0;
  std::size_t done_ = 0;                       ///< steps before this one are lowered
  std::vector<std::optional<Slot>> slots_;     ///< of the values
  std::vector<std::vector<int64_t>> holders_;  ///< the values in each buffer
  std::vector<std::size_t> last_use_;          ///< of each value: a step
  std::vector<int64_t> uses_;                  ///< of each value, by steps and as results
  std::map<std::tuple<int64_t, std::vector<int64_t>, torch::Dtype>, Slot> copies_;
  std::vector<int64_t> pinned_;
};

/// An activation as oneDNN has it.
struct Eltwise {
  dnnl::algorithm algorithm;
  float alpha = 0;
  float beta = 0;
};
std::optional<Eltwise> eltwise_of(const Operation& operation);

/// A constant of one's own, in a layout that the primitive chose.
dnnl::memory packed(const torch::Tensor& tensor, const dnnl::memory::desc& from,
                    const dnnl::memory::desc& to);
dnnl::memory vector_of(const torch::Tensor& tensor);

/// Scratchpads are the program's.
dnnl::primitive_attr attributes();

}  // namespace convkit::detail

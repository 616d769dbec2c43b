#pragma once

#include "compile/onednn/program.h"

#include <utility>
#include <vector>

/// Weights as oneDNN's primitives take them.
namespace convkit::detail {

/// A copy of a constant, in the layout and type that a primitive chose.
PackedConstant packed(const torch::Tensor& tensor, const dnnl::memory::desc& from,
                      const dnnl::memory::desc& to);

/// The same of a contiguous tensor of float32.
PackedConstant packed(const torch::Tensor& tensor, const dnnl::memory::desc& to);

/// A copy of a bias, or of a norm's weight, as a vector of float32.
PackedConstant vector_of(const torch::Tensor& tensor);

/// Gives a plan's constants the memory that other plans have for the same bytes.
class SharedConstants {
 public:
  /// Without a pool each keeps its own.
  explicit SharedConstants(ConstantPool* pool) : pool_(pool) {}

  void share(Operand& operand);
  /// To be called before each step: the primitives of one may have the same constants, and each of these is
  /// looked up once.
  void begin_step() { of_step_.clear(); }

 private:
  ConstantPool* pool_;
  std::vector<std::pair<c10::Storage, c10::Storage>>
      of_step_;  ///< what was packed, and what is shared
};

/// The weight of a convolution as oneDNN has it: [groups, out, in, kH, kW], without the groups where
/// there is one; [out, in] for a linear layer.
torch::Tensor grouped_weight(const Convolution& convolution);

/// The description of a convolution's bias; empty where it has none.
dnnl::memory::desc bias_desc(const Convolution& convolution);

}  // namespace convkit::detail

#pragma once

#include "compile/onednn/program.h"

/// Weights as oneDNN's primitives take them.
namespace convkit::detail {

/// A copy of a constant, in the layout and type that a primitive chose.
dnnl::memory packed(const torch::Tensor& tensor, const dnnl::memory::desc& from,
                    const dnnl::memory::desc& to);

/// The same of a contiguous tensor of float32.
dnnl::memory packed(const torch::Tensor& tensor, const dnnl::memory::desc& to);

/// A copy of a bias, or of a norm's weight, as a vector of float32.
dnnl::memory vector_of(const torch::Tensor& tensor);

/// The weight of a convolution as oneDNN has it: [groups, out, in, kH, kW], without the groups where
/// there is one; [out, in] for a linear layer.
torch::Tensor grouped_weight(const Convolution& convolution);

/// The description of a convolution's bias; empty where it has none.
dnnl::memory::desc bias_desc(const Convolution& convolution);

}  // namespace convkit::detail

#pragma once

#include "compile/onednn/lowering.h"

#include <string>
#include <vector>

/// Convolutions and linear layers by oneDNN. Each function is false for what it cannot compute.
namespace convkit::detail {

bool lower_convolution(Lowering& lowering, const Convolution& convolution);

/// A linear layer.
bool lower_linear(Lowering& lowering, const Convolution& convolution);

/// A 1x1 convolution and the depthwise one after it, in one primitive: what is between them never leaves
/// the cache.
bool lower_with_depthwise(Lowering& lowering, const Convolution& convolution);

/// A depthwise convolution, a 1x1 one, or one after the other, of an image that lies as [N, C, H, W] and whose result
/// has to: see planes.h.
bool lower_planar(Lowering& lowering, const Convolution& convolution);

/// Whether the transform of the result has what follows the convolution, in float32 and on the plan's
/// threads.
bool can_winograd(Lowering& lowering, const Convolution& convolution);

/// By tiles of so many rows and columns of the result, of what can_winograd().
bool lower_winograd(Lowering& lowering, const Convolution& convolution, int64_t tile);

/// What follows a convolution and is better as a loop of our own after it.
std::optional<lanes::LaneActivation> activation_apart(Lowering& lowering,
                                                      const Convolution& convolution);

/// In a layout of oneDNN's own.
void lower_blocked(Lowering& lowering, const Convolution& convolution);

/// A large result as [N, C, H, W]: some rows at a time, transposed while they are in the cache.
bool lower_by_rows(Lowering& lowering, const Convolution& convolution);

// ---- The functions above share these.

/// A convolution as oneDNN runs it.
struct PreparedConvolution {
  dnnl::primitive primitive;
  dnnl::memory::desc scratchpad;
  std::vector<Operand> constants;
  std::string implementation;
  dnnl::memory::desc x;  ///< the layouts that it takes, where any were offered
  dnnl::memory::desc y;
};

/// Makes the primitive for these inputs and outputs, with `left` rows and columns of padding before the
/// image and `right` after it. Throws dnnl::error where oneDNN has a reference implementation alone.
PreparedConvolution prepare(const Convolution& convolution, torch::Dtype dtype,
                            const dnnl::memory::desc& x, const dnnl::memory::desc& y,
                            const Sizes& left, const Sizes& right,
                            const dnnl::primitive_attr& attributes);

/// The padding after the image, as prepare() takes it.
Sizes right_padding(const Convolution& convolution);

/// Explains two convolutions in one command, of which the first one's result, of so many numbers, is nowhere.
StepExplanation explanation_of_both(const Convolution& first, const Convolution& second,
                                    const Sizes& between, const Slot& result);

/// Throws dnnl::error for the name of a reference implementation, which is slow.
void refuse_reference(const std::string& implementation);

/// What a primitive does with its numbers before it stores them, and the tensors that this takes.
struct PostOps {
  dnnl::post_ops ops;
  std::vector<Operand> operands;
};

/// Lets an activation, if there is one, follow what a primitive computes.
void append(dnnl::post_ops& ops, const std::optional<Operation>& activation);

/// Lets a convolution's activation, scale and shift follow; its output has so many dimensions for oneDNN.
void append_rest(PostOps& post, const Convolution& convolution, std::size_t dims);

/// `ops` as the attributes of a primitive.
dnnl::primitive_attr attributes_with(const dnnl::post_ops& ops);

/// Lets the residual, if there is one, follow what the primitive computes on `x`; gives the place of the
/// output, which may be the residual's own. `turn` says that the primitive sees turned images.
Slot add_residual(Lowering& lowering, const Convolution& convolution, const Slot& x,
                  const Sizes& strides, PostOps& post, bool turn = false);

}  // namespace convkit::detail

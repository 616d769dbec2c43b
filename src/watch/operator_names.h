#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// What the library knows of LibTorch's operators and its own by their names, from one table. A full name is
/// "aten::relu_", its plain name is "relu".
namespace convkit::detail {

/// Gives a name without its namespace, and without the mark of an operator in place.
std::string plain_name(std::string_view name);

/// Whether the name ends with the mark of an operator in place.
bool is_in_place(std::string_view name);

/// Whether an operator of this plain name is an activation: a function of each element alone,
/// without a second tensor.
bool is_activation(std::string_view plain);

/// Whether what an operator of this plain name returns depends on the shape and type of its
/// arguments alone, not on their values.
bool tells_shape_alone(std::string_view plain);

/// Whether an operator of this plain name looks only at the shape and type of its argument `i`.
bool reads_shape_alone(std::string_view plain, std::size_t i);

/// Whether an operator of this plain name gives the same numbers however its tensors lie in memory. Others
/// ask for strides, or nobody has looked.
bool takes_any_layout(std::string_view plain);

/// Whether the numbers that an operator of this plain name gives differ no more than in the last bits where
/// those that it is given do. A comparison's do not, nor those of a rounding, a sort, an inverse.
bool is_steady(std::string_view plain);

/// Whether torch::nn's module of this type, which has no weights, calls an operator of this plain
/// name: "ReLU" calls "relu".
bool is_called_by(std::string_view type, std::string_view plain);

/// Whether torch::nn's module of this type gives its weights to the operator of this full name:
/// "Conv2d" to "aten::conv2d".
bool is_given_weights_by(std::string_view type, std::string_view name);

/// Where an operator looks for an element of its result. Receptive fields depend on it.
enum class Reach : int {
  kUnknown,
  kSamePlace,  ///< at the same place of all its maps
  kConvolution,
  kMaxPool,
  kAvgPool,
  kPad,
};

/// Gives the reach of the operator of this full name; only that of LibTorch's own and ours is known.
Reach reach_of(std::string_view name);

/// The formula by which the multiply-accumulates of an operator are counted.
enum class MacRule : int {
  kNone,
  kConvolution,
  kProduct,       ///< of the first two arguments
  kAddedProduct,  ///< of the second and the third one
  kAttention,     ///< a kernel that computes both products of an attention
};

/// Gives the formula for the operator of this full name. As in FlopCounterMode, an operator in
/// place has none.
MacRule mac_rule_of(std::string_view name);

}  // namespace convkit::detail

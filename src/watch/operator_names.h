#pragma once

#include <string>
#include <string_view>

/// What is known of LibTorch's operators by their names, in one table.
namespace convkit::detail {

/// "relu" of "aten::relu_": the name without its namespace, and without the mark of an operator in place.
std::string plain_name(std::string_view name);

/// Whether an operator of this plain name is an activation: a function of each element alone, without a
/// second tensor.
bool is_activation(std::string_view plain);

/// Whether what an operator of this plain name returns depends on the shape and type of its arguments
/// alone, not on their values.
bool tells_shape_alone(std::string_view plain);

}  // namespace convkit::detail

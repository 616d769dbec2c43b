#pragma once

#include "compile/random_module.h"

#include <functional>
#include <string>
#include <vector>

/// The operators of which random modules are made, one family a file: random_layers.cpp,
/// random_images.cpp, random_memory.cpp, random_math.cpp.
namespace support {

/// An operator's name, and what draws a step of it.
struct RandomOperator {
  std::string name;
  std::function<void(Draw&)> draw;
};
using RandomOperators = std::vector<RandomOperator>;

/// Convolutions, linear layers, matrix products, norms, activations, attention.
RandomOperators layer_operators();
/// Poolings, paddings, resampling, and what rearranges an image.
RandomOperators image_operators();
/// Views, copies, other types, and writes through views.
RandomOperators memory_operators();
/// Writes in place, of all kinds.
RandomOperators write_operators();
/// Scalars, reductions, comparisons, rounding, sorting.
RandomOperators math_operators();
/// Fourier transforms, linear algebra, indexing.
RandomOperators index_operators();

/// An operator on each element of a tensor of float32.
template <typename F>
RandomOperator elementwise(const std::string& name, F function) {
  return {name, [function](Draw& d) {
            d.floats();
            d.returns([function](const Tensors& v) { return function(v[0]); });
          }};
}

/// An operator on an image [N, C, H, W].
template <typename F>
RandomOperator on_image(const std::string& name, F function) {
  return {name, [function](Draw& d) {
            d.image();
            d.returns([function](const Tensors& v) { return function(v[0]); });
          }};
}

inline void append(RandomOperators& to, RandomOperators from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace support

#pragma once

#include <string>
#include <string_view>

/// The names that operators and modules have in a diagram.
namespace draw {

enum class Kind { kModule, kConvolution, kNorm, kActivation, kPooling, kLinear, kOperator };

/// By the name of a module's class.
Kind kind_of(const std::string& type);

struct Words {
  std::string_view name;   ///< LibTorch's, of an operator
  std::string_view words;  ///< of the picture
  std::string_view type;   ///< of the module that may have called it, unseen
};

/// Null for an operator that goes by LibTorch's name.
const Words* known_words(const std::string& name);

}  // namespace draw

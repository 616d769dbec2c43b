#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace draw {

/// The steps of a picture as CSS keyframes: each step takes equally long, the last one is held for a
/// while, and then all begins again. Without animation, or where the reader has asked for less
/// motion, elements keep the attributes that they have.
class Animation {
 public:
  explicit Animation(int64_t steps);

  /// The attributes of an element that takes each declaration, such as "opacity:1", at its step.
  std::string moving(const std::string& name,
                     const std::vector<std::pair<int64_t, std::string>>& declarations);

  /// The style sheet for all elements.
  std::string style() const;

 private:
  int64_t milliseconds_;  // a step's
  int64_t total_;         // steps, with those for which the last one is held
  std::string keyframes_;
};

}  // namespace draw

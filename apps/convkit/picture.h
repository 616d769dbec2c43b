#pragma once

#include "convolution.h"

#include <string>

namespace draw {

/// The animated picture: a whole SVG file, which refers to nothing outside of it.
std::string picture(const Convolution& convolution);

}  // namespace draw

#pragma once

#include "convolution.h"

#include <string>
#include <vector>

/// The words and formulas of the picture.
namespace draw {

std::string title(const Convolution& convolution);
std::string subtitle(const Convolution& convolution);
std::string description(const Convolution& convolution);

/// Two lines above a grid: what it is, and what is around it.
struct Caption {
  std::string name;
  std::string around;
};

Caption input_caption(const Convolution& convolution);
Caption output_caption(const Convolution& convolution);

/// The kernel's size, and what it spans where it is dilated, or does.
Caption kernel_caption(const Convolution& convolution);

/// A formula, and below it the same with numbers: once, or for height and width.
struct Formula {
  std::string names;
  std::vector<std::string> numbers;
};

/// Of the output's size, and of the padding where a rule sets it.
std::vector<Formula> formulas(const Convolution& convolution);

}  // namespace draw

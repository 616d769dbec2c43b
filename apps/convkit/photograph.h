#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace tool {

struct PhotographFlags {
  std::string image;
  std::string preset = "DEFAULT";
};

void add_photograph_flags(CLI::App& command, PhotographFlags& flags);

/// An image as a network gets it.
struct Photograph {
  torch::Tensor input;   ///< [1, 3, H, W]
  torch::Tensor pixels;  ///< the same as it looks: uint8 [3, H, W]
};

/// Throws c10::Error for a file that is no image, and for a network that has no preset, or one for
/// videos.
Photograph prepare(const PhotographFlags& flags, const std::string& model);

/// A refusal of what --layer says: "--layer: expected ..., got ...; the nearest are ...".
[[noreturn]] void refuse_layer(const std::string& expected, const std::string& layer,
                               const std::vector<std::string>& known);

}  // namespace tool

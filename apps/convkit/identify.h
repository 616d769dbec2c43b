#pragma once

#include <convkit/state_dict.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tool {

/// A network that a state_dict belongs to.
struct Identity {
  std::string network;                 ///< a name that `convkit models` lists
  std::optional<int64_t> num_classes;  ///< if it is not the default
  std::string prefix;                  ///< of all its keys, such as module.
};

/// The named network that has exactly these tensors, whatever its number of classes, and with or
/// without auxiliary heads. It makes no network whose number of tensors is another.
std::optional<Identity> identify(const convkit::StateDict& state);

/// The published weights that have this file's name, as in "IMAGENET1K_V1 of resnet18"; or empty.
std::string published_as(const std::string& path);

}  // namespace tool

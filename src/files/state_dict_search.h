#pragma once

#include "files/pickle_tree.h"

#include <string>
#include <vector>

namespace convkit::detail {

/// Where weights are in a file: a value of its pickle, and the path that leads there.
struct FoundWeights {
  Id id;
  std::string path;
};

/// What LoadCheckpointOptions.at calls a state_dict, all of them in the order of the file, each
/// object once. Each lies in none of the others.
std::vector<FoundWeights> find_state_dicts(PickleTree& tree);

/// Whether taking a state_dict takes this member of it or of a container in it: of a module every
/// one, of a dict its own tensors, and the weights in its lists.
bool belongs_to_state_dict(PickleTree& tree, bool of_module, const PickleMember& member);

}  // namespace convkit::detail

#pragma once

#include <convkit/tree.h>

#include "files/pickle_checkpoint.h"

namespace convkit::detail {

/// No tree in a file is deeper: walks through one, and its destructor, recurse.
constexpr std::size_t kMostLevels = 100;

/// Gives all of a pickle as a tree. Throws CheckpointError for what no tree has.
Tree tree_of(const std::string& path, const Pickle& pickle, const MakeTensor& make_tensor);

}  // namespace convkit::detail

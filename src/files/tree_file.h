#pragma once

#include <convkit/tree.h>

#include "files/file.h"
#include "files/pickle_checkpoint.h"

#include <memory>

namespace convkit::detail {

/// No tree in a file is deeper: walks through one, and its destructor, recurse.
constexpr std::size_t kMostLevels = 100;

/// What load_tree() reads from a file. Throws CheckpointError, and std::bad_alloc for a file that lists
/// more than there is memory for.
Tree read_tree(const std::shared_ptr<const MappedFile>& file);

/// Gives all of a pickle as a tree. Throws CheckpointError for what no tree has.
Tree tree_of(const std::string& path, const Pickle& pickle, const MakeTensor& make_tensor);

}  // namespace convkit::detail

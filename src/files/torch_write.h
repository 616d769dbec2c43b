#pragma once

#include <convkit/state_dict.h>
#include <convkit/tree.h>

#include "files/file.h"

namespace convkit::detail {

/// Writes torch.save's zip file of an OrderedDict.
void write_torch_zip(const TakeBytes& take, const StateDict& state);

/// Writes torch.save's zip file of a tree, which recursion can walk through.
void write_torch_zip(const TakeBytes& take, const Tree& tree);

}  // namespace convkit::detail

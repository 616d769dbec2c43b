#pragma once

#include <convkit/state_dict.h>

#include "files/file.h"

namespace convkit::detail {

/// Writes torch.save's zip file of an OrderedDict.
void write_torch_zip(const TakeBytes& take, const StateDict& state);

}  // namespace convkit::detail

#pragma once

#include <convkit/state_dict.h>

#include <string>

namespace convkit::detail {

/// Writes an OrderedDict of tensors, as torch.save does.
void write_torch_zip(const std::string& path, const StateDict& state);

}  // namespace convkit::detail

#pragma once

#include <convkit/state_dict.h>

#include <map>
#include <string>

namespace convkit::detail {

/// Writes .safetensors. The tensors of `state` share no memory, or each may be written whole.
void write_safetensors(const std::string& path, const StateDict& state,
                       const std::map<std::string, std::string>& metadata);

}  // namespace convkit::detail

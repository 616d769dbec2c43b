#pragma once

#include <convkit/state_dict.h>

#include "files/file.h"

#include <map>
#include <string>

namespace convkit::detail {

/// Throws c10::ValueError for names and dtypes that the format does not have.
void check_safetensors(const StateDict& state);

/// Writes .safetensors, of what has been checked. The tensors of `state` share no memory, or each
/// may be written whole.
void write_safetensors(const TakeBytes& take, const StateDict& state,
                       const std::map<std::string, std::string>& metadata);

}  // namespace convkit::detail

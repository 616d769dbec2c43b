#pragma once

#include <convkit/checkpoint.h>

#include "file.h"

/// What a file's bytes hold, and how tensors become a file.
namespace convkit::detail {

/// Any format, decided by the first bytes.
Checkpoint read_checkpoint(const std::shared_ptr<const MappedFile>& file);

/// .safetensors: 8 bytes with the length of a header in JSON, the header, the tensors.
Checkpoint read_safetensors(const std::shared_ptr<const MappedFile>& file);

/// `state` has no shared tensors, or they may be copied.
void write_safetensors(const std::string& path, const StateDict& state,
                       const std::map<std::string, std::string>& metadata);

}  // namespace convkit::detail

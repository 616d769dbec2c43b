#pragma once

#include <convkit/checkpoint.h>

#include "files/file.h"

#include <memory>

namespace convkit::detail {

/// Reads .safetensors: 8 bytes with the length of a header in JSON, the header, the tensors.
Checkpoint read_safetensors(const std::shared_ptr<const MappedFile>& file);

}  // namespace convkit::detail

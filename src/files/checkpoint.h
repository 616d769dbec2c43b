#pragma once

#include <convkit/checkpoint.h>

#include "files/file.h"

#include <memory>

namespace convkit::detail {

/// Reads a file of any format, which its first bytes tell.
Checkpoint read_checkpoint(const std::shared_ptr<const MappedFile>& file,
                           const LoadCheckpointOptions& options = {});

}  // namespace convkit::detail

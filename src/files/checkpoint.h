#pragma once

#include <convkit/checkpoint.h>

#include "files/file.h"

#include <memory>
#include <string>

namespace convkit::detail {

/// Reads a file of any format, which its first bytes tell. An index of shards is read where `folder`
/// says where those lie.
Checkpoint read_checkpoint(const std::shared_ptr<const MappedFile>& file,
                           const LoadCheckpointOptions& options = {},
                           const std::string* folder = nullptr);

}  // namespace convkit::detail

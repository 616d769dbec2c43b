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

/// What it means that a file cannot be opened.
CheckpointError::Problem problem_of_opening(const std::string& path);

/// Whether a tensor has memory that a file can hold.
bool is_storable(const torch::Tensor& tensor);

}  // namespace convkit::detail

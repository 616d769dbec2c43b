#pragma once

#include <convkit/checkpoint.h>

#include "files/file.h"

#include <memory>
#include <string_view>

namespace convkit::detail {

/// Reads torch.save's zip file: a pickle, and a record for each storage. TorchScript's and
/// LibTorch's own archives are the same.
Checkpoint read_torch_zip(const std::shared_ptr<const MappedFile>& file,
                          const LoadCheckpointOptions& options);

/// Whether a file begins as torch.save's from before torch 1.6 do.
bool is_torch_legacy(std::string_view bytes);

/// Reads torch.save's file from before torch 1.6: five pickles, then the storages.
Checkpoint read_torch_legacy(const std::shared_ptr<const MappedFile>& file,
                             const LoadCheckpointOptions& options);

}  // namespace convkit::detail

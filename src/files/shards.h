#pragma once

#include <convkit/checkpoint.h>

#include "files/file.h"

#include <string>
#include <string_view>

/// Checkpoints of several files, and the index of their tensors, as huggingface_hub writes them.
namespace convkit::detail {

/// Whether a text is the index of shards.
bool is_index(std::string_view text);

/// Reads the files of a folder that an index names. Throws c10::Error for a name that leads out of
/// the folder, and for a file that has other tensors than the index says.
Checkpoint read_shards(const MappedFile& index, const std::string& folder);

/// Writes .safetensors files of at most `options.max_shard_size` bytes of tensors, and their index;
/// one file, `path`, where that is enough. All has been checked.
void write_shards(const std::string& path, const StateDict& state,
                  const SaveCheckpointOptions& options);

}  // namespace convkit::detail

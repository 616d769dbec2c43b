#pragma once

#include <convkit/checkpoint.h>

#include "files/file.h"

/// What a file's bytes hold, and how tensors become a file.
namespace convkit::detail {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// The tensors in a state_dict. Throws c10::Error for a name that comes twice, and for names that
/// were chosen to make its look-ups slow.
StateDict state_dict_of(const std::string& path, NamedTensors tensors);

/// A new tensor for bytes that have to be copied. Throws c10::Error where memory is short.
torch::Tensor allocated(const MappedFile& file, const std::string& name, torch::IntArrayRef shape,
                        c10::ScalarType type);

/// Any format, decided by the first bytes.
Checkpoint read_checkpoint(const std::shared_ptr<const MappedFile>& file,
                           const LoadCheckpointOptions& options = {});

/// .safetensors: 8 bytes with the length of a header in JSON, the header, the tensors.
Checkpoint read_safetensors(const std::shared_ptr<const MappedFile>& file);

/// torch.save's zip file: a pickle, and a record for each storage. TorchScript's and LibTorch's own
/// archives are the same.
Checkpoint read_torch_zip(const std::shared_ptr<const MappedFile>& file,
                          const LoadCheckpointOptions& options);

/// torch.save's file from before torch 1.6: five pickles, then the storages.
Checkpoint read_torch_legacy(const std::shared_ptr<const MappedFile>& file,
                             const LoadCheckpointOptions& options);

/// `state` has no shared tensors, or they may be copied.
void write_safetensors(const std::string& path, const StateDict& state,
                       const std::map<std::string, std::string>& metadata);

/// An OrderedDict, as torch.save writes it.
void write_torch_zip(const std::string& path, const StateDict& state);

}  // namespace convkit::detail

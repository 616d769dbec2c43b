#pragma once

#include <convkit/state_dict.h>

#include <map>
#include <string>
#include <vector>

namespace convkit {

/// The tensors of a file, and what else it says.
struct Checkpoint {
  StateDict state;                              ///< in the file's order
  std::map<std::string, std::string> metadata;  ///< safetensors' `__metadata__`
};

/// Reads a .safetensors file, which it knows by its content.
///
///     load_state_dict(*net, load_checkpoint("weights.safetensors").state);
///
/// The file is mapped, not read: loading costs the same for any size, and a tensor's bytes come
/// from the disk when they are first touched. Writing to a tensor changes neither the file nor
/// another load of it. The mapping lives as long as the last tensor; a file that another program
/// shortens meanwhile ends this one with SIGBUS, one that it replaces does not.
///
/// A tensor that does not begin at a multiple of its element size, as in some old files, is copied.
/// The others begin where the file has them, not at a multiple of 64 bytes as those that LibTorch
/// allocates, and kernels that read them there may sum in another order: load_state_dict() without
/// .assign gives Python's bits. float4 tensors have two numbers in an element, so that their last
/// dimension is half the file's.
///
/// Throws:  c10::Error, naming the file, for one that cannot be read, that is something else (and
///          what to do), or that breaks a rule of the format. Nothing in a file is trusted.
/// Source:  safetensors 0.8.0, safetensors.torch.load_file
/// Differs: two tensors of one name, more than 64 dimensions, and a tensor's description as a list
///          are refused.
CONVKIT_API Checkpoint load_checkpoint(const std::string& path);

/// What save_checkpoint() writes beside the tensors.
struct SaveCheckpointOptions {
  std::map<std::string, std::string> metadata = {};
  /// Writes tensors that share memory, each whole, instead of refusing them.
  bool copy_shared = false;
};

/// Writes a .safetensors file, byte for byte Python's: sorted by dtype, then by name; the metadata
/// sorted by key. Tensors that are not contiguous or not on the CPU are copied first, one by one.
///
///     save_checkpoint("weights.safetensors", state_dict(*net), {.metadata = {{"format", "pt"}}});
///
/// The file is written beside `path`, flushed to the disk and renamed: whatever happens, `path` is
/// the old file or the new one, whole. A process that is killed leaves `path` with a suffix
/// ".partial-..." behind.
///
/// Throws:  c10::Error for another extension, tensors that share memory (with their names), a dtype
///          that safetensors does not have, names that are not UTF-8, or a disk that takes no more.
/// Source:  safetensors 0.8.0, safetensors.torch.save_file
/// Differs: Python refuses tensors that are not contiguous, and orders metadata at random.
CONVKIT_API void save_checkpoint(const std::string& path, const StateDict& state,
                                 const SaveCheckpointOptions& options = {});

/// The names of tensors that overlap in memory, in groups of at least two: tied weights, or views
/// of one tensor.
///
/// Source:  safetensors 0.8.0, safetensors.torch._find_shared_tensors
CONVKIT_API std::vector<std::vector<std::string>> shared_tensors(const StateDict& state);

}  // namespace convkit

#pragma once

#include <convkit/state_dict.h>

#include <map>
#include <string>
#include <vector>

namespace convkit {

/// What load_checkpoint() finds in a file: the tensors, and what else it says.
struct Checkpoint {
  StateDict state;  ///< in the file's order
  /// The `__metadata__` of a .safetensors file. Files of torch.save have theirs by path, "epoch",
  /// "optimizer.param_groups.0.lr": the texts, the numbers of up to 64 bits, and bools as "True"
  /// and "False", at most 100,000 of them and none of a pickled module's layers.
  std::map<std::string, std::string> metadata;
};

/// These options say what load_checkpoint() takes of a file.
struct LoadCheckpointOptions {
  /// The member of a nested checkpoint to take all tensors of, by its path: "ema.model". By default
  /// it is the one that holds tensors under a usual name (state_dict, model, model_state_dict,
  /// params, params_ema, net, weights), and the whole file where none does and it is a state_dict
  /// itself.
  std::string at = {};
  /// Takes all tensors of a nested checkpoint, under their paths. A list's members, and those under
  /// a key that is neither text nor whole number, count as their positions. It changes nothing
  /// beside `at`, which takes all tensors of its member, and for .safetensors, which do not nest.
  bool everything = false;
};

/// Reads a checkpoint, whose format it knows by its content. It reads .safetensors and what
/// torch.save has written (.pt, .pth, .bin), before torch 1.6 too: a state_dict, a checkpoint that
/// holds one among other things, or a whole module. It also reads TorchScript files and LibTorch's
/// own archives.
///
///     load_state_dict(*net, load_checkpoint("weights.pt").state);
///
/// The file is mapped, not read: loading costs the same for any size, and a tensor's bytes come
/// from the disk when they are first touched. Writing to a tensor changes neither the file nor
/// another load of it. The mapping lives as long as the last tensor; a file that another program
/// shortens meanwhile ends this one with SIGBUS, one that it replaces does not. All tensors are on
/// the CPU, wherever they were saved, and do not require gradients.
///
/// A tensor that does not begin at a multiple of its element size, as in some old files, is copied.
/// The others begin where the file has them, not at a multiple of 64 bytes as those that LibTorch
/// allocates, and kernels that read them there may sum in another order: load_state_dict() without
/// .assign gives Python's bits. Tensors of torch.save's files keep their strides and share memory
/// as they did. float4 tensors have two numbers in an element, so that their last dimension is half
/// the one in a .safetensors file. A file of a single tensor gives it the name "0".
///
/// Throws:  c10::Error, naming the file, for one that cannot be read, that is something else (and
///          what to do), that breaks a rule of its format, or in which several state_dicts could be
///          meant. Nothing in a file is trusted, and nothing in it is run: a class of a pickle is a
///          name.
/// Source:  safetensors 0.8.0, safetensors.torch.load_file; torch.load(weights_only=True)
/// Differs: a .safetensors file with two entries of one name, more than 64 dimensions, sizes that
///          overflow beside a zero, or descriptions in forms that only Python's reader takes is
///          refused.
///          torch.load refuses classes that are not on its list; here they are objects without use.
///          Sparse, quantized, nested, meta and big-endian tensors are refused.
CONVKIT_API Checkpoint load_checkpoint(const std::string& path,
                                       const LoadCheckpointOptions& options = {});

/// These options say what save_checkpoint() writes beside the tensors.
struct SaveCheckpointOptions {
  std::map<std::string, std::string> metadata = {};  ///< only .safetensors files have any
  /// Writes tensors that share memory into a .safetensors file, each whole, instead of refusing
  /// them. It has no effect on a .pt file, which keeps the sharing.
  bool copy_shared = false;
};

/// Writes a state_dict, in the format of the extension.
///
///     save_checkpoint("weights.safetensors", state_dict(*net), {.metadata = {{"format", "pt"}}});
///
/// A .safetensors file is Python's byte for byte: sorted by dtype, then by name; the metadata
/// sorted by key. Tensors that are not contiguous or not on the CPU are copied first, one by one.
///
/// A .pt or .pth file is an OrderedDict for torch.load(weights_only=True); it keeps strides and
/// sharing.
///
/// The file is written beside `path`, flushed to the disk and renamed: whatever happens, `path` is
/// the old file or the new one, whole. A process that is killed leaves a file named
/// ".convkit-....partial" behind. What is there has to be writable; its mode is kept, symbolic
/// links are followed, owner and hard links are not kept.
///
/// Throws:  c10::Error for another extension, tensors that share memory (with their names), a dtype
///          that the format does not have, names that are not UTF-8, or a disk that takes no more.
/// Source:  safetensors 0.8.0, safetensors.torch.save_file; torch.save
/// Differs: safetensors refuses tensors that are not contiguous, and orders metadata at random.
CONVKIT_API void save_checkpoint(const std::string& path, const StateDict& state,
                                 const SaveCheckpointOptions& options = {});

/// Writes a TorchScript file (.pt, .pth): what `module` does to `example_input` in eval mode, with
/// its weights. Python opens it by torch.jit.load, with the same keys and bit-equal outputs, and
/// can export it from there. Tensors that are not registered in it become constants. The module is
/// left as it was.
///
///     save_torchscript(*net, torch::randn({1, 3, 224, 224}), "net.pt");
///
/// The file has the operators of that one forward. What C++ computes from the input's size becomes
/// a constant: upsampling, and padding to SAME, are right for inputs of this size alone. Branches
/// are those that were taken. It cannot be trained: dropout is gone, batch norms use their
/// statistics. TorchScript itself is no longer developed.
///
/// Throws:  c10::Error for a module that does not map one tensor to one, or has names that are
///          Python's keywords, for another extension, a disk that takes no more; what it throws.
/// Source:  torch.jit.trace
CONVKIT_API void save_torchscript(torch::nn::Module& module, const torch::Tensor& example_input,
                                  const std::string& path);

/// The names of tensors whose memory overlaps, from the first to the last element, in groups of at
/// least two: tied weights, or views of one tensor.
///
/// Source:  safetensors 0.8.0, safetensors.torch._find_shared_tensors
CONVKIT_API std::vector<std::vector<std::string>> shared_tensors(const StateDict& state);

}  // namespace convkit

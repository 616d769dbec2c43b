#pragma once

#include <convkit/state_dict.h>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <span>
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

/// What load_checkpoint(), save_checkpoint() and save_torchscript() throw for a file, with a sentence
/// for people and the kind of problem for programs. Bad options are c10::ValueErrors.
class CONVKIT_API CheckpointError : public c10::Error {
 public:
  /// What is wrong with the file.
  enum class Problem {
    kNotFound,        ///< there is no such file
    kNotACheckpoint,  ///< it is something else, such as a folder
    kDamaged,         ///< it breaks a rule of its format, as a download that was cut short does
    kUnsupported,     ///< it is there, but cannot be opened, or has something that is not read here
    kNeedsAChoice,    ///< none or several of its members are a state_dict: `at` has to choose
    kCannotBeWritten,  ///< the disk, or the stream, does not take it
  };
  /// A member that could be meant: the value for LoadCheckpointOptions.at, and how many tensors
  /// that gives.
  struct Candidate {
    std::string at;
    std::size_t tensors;
  };

  CheckpointError(Problem problem, std::string text, std::vector<Candidate> candidates = {});

  /// The kind of problem.
  Problem problem() const { return problem_; }
  /// For kNeedsAChoice: the members to choose from, at most 100. Empty for other problems.
  const std::vector<Candidate>& candidates() const { return candidates_; }

 private:
  Problem problem_;
  std::vector<Candidate> candidates_;
};

/// These options say what load_checkpoint() takes of a file.
struct LoadCheckpointOptions {
  /// The member of a nested checkpoint to take all tensors of, by its path: "ema.model".
  ///
  /// By default it is the one state_dict in the file, at whatever depth. Several, such as weights
  /// and their moving average, are an error that lists them; with none it lists the members that
  /// have tensors. A state_dict is a dict of tensors under names, of which these and those in its
  /// lists are taken, or a pickled module. What does not count:
  ///
  /// - the state of an optimizer, which is a dict with `state` and `param_groups`, or of one
  ///   parameter with `exp_avg`, `momentum_buffer` or another name that torch.optim has;
  /// - single numbers, such as a loss or an epoch, and vectors of uint8, such as the state of a
  ///   random generator, by themselves: they come with the other tensors of their dict, or where
  ///   the file has no others;
  /// - a dict around a state_dict: tensors beside that one, such as a codebook, are to be chosen
  ///   from too. But a dict with names like "conv.weight" is a state_dict whatever lies in it.
  std::string at = {};
  /// Takes all tensors of a nested checkpoint, under their paths. A list's members, and those under
  /// a key that is neither text nor whole number, count as their positions. It changes nothing
  /// beside `at`, which takes all tensors of its member, and for .safetensors, which do not nest.
  bool everything = false;
};

/// Reads a checkpoint, whose format it knows by its content. It reads .safetensors and what
/// torch.save has written (.pt, .pth, .bin), before torch 1.6 too: a state_dict, a checkpoint that
/// holds one among other things, or a whole module. It also reads the parameters and buffers of
/// TorchScript files, LibTorch's own archives, and the files that an index of shards
/// (model.safetensors.index.json) names, which have to lie in its folder.
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
/// Throws:  CheckpointError, naming the file, for one that cannot be read, that is something else
///          (and what to do), that breaks a rule of its format, or in which several state_dicts
///          could be meant; c10::ValueError for an `at` that is not there. Nothing in a file is
///          trusted, and nothing in it is run: a class of a pickle is a name.
/// Source:  safetensors 0.8.0, safetensors.torch.load_file; torch.load(weights_only=True)
/// Differs: a .safetensors file with two entries of one name, more than 64 dimensions, sizes that
///          overflow beside a zero, or descriptions in forms that only Python's reader takes is
///          refused.
///          torch.load refuses classes that are not on its list; here they are objects without use,
///          NumPy's arrays too.
///          Sparse, quantized, nested, meta and big-endian tensors are refused.
CONVKIT_API Checkpoint load_checkpoint(const std::string& path,
                                       const LoadCheckpointOptions& options = {});

/// Reads a checkpoint of any of these formats, but an index, from memory: the bytes of a resource,
/// a message or a database. They are copied once, so that the tensors do not need them.
///
///     auto state = load_checkpoint(std::as_bytes(std::span(bytes))).state;
///
/// Throws:  CheckpointError, as above
CONVKIT_API Checkpoint load_checkpoint(std::span<const std::byte> bytes,
                                       const LoadCheckpointOptions& options = {});

/// Reads a checkpoint from a stream, from where it is to its end.
///
/// Throws:  CheckpointError, as above, and for a stream that cannot be read
CONVKIT_API Checkpoint load_checkpoint(std::istream& stream,
                                       const LoadCheckpointOptions& options = {});

/// These options say what save_checkpoint() writes beside the tensors.
struct SaveCheckpointOptions {
  std::map<std::string, std::string> metadata = {};  ///< only .safetensors files have any
  /// Writes tensors that share memory into a .safetensors file, each whole, instead of refusing
  /// them. It has no effect on a .pt file, which keeps the sharing.
  bool copy_shared = false;
  /// The most bytes of tensors in a .safetensors file; 0 is no limit. What is more is split into
  /// "model-00001-of-00003.safetensors", ..., as huggingface_hub does, in the state_dict's order: a
  /// tensor above the limit has a file of its own. "model.safetensors.index.json" then names the
  /// file of each tensor and has the metadata. Of "model.safetensors" and its index the one that was
  /// not written is removed.
  uint64_t max_shard_size = 0;
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
/// Of several shards each is written whole before the first takes its name. An index that was there
/// goes before, and the new one comes last: an interrupted save leaves no mixture that could be
/// loaded. Shards of another number that lie there stay; so does an index, and what it names, where
/// `max_shard_size` is not given.
///
/// Throws:  c10::ValueError for another extension, tensors that share memory (with their names), a
///          dtype that the format does not have, or names that are not UTF-8; CheckpointError for a
///          file that cannot be written, or a disk that takes no more.
/// Source:  safetensors 0.8.0, safetensors.torch.save_file; torch.save; huggingface_hub 2.4.0,
///          split_torch_state_dict_into_shards
/// Differs: safetensors refuses tensors that are not contiguous, and orders metadata at random.
CONVKIT_API void save_checkpoint(const std::string& path, const StateDict& state,
                                 const SaveCheckpointOptions& options = {});

/// Gives the bytes that a file of this extension would have: ".safetensors", ".pt" or ".pth".
///
///     std::vector<std::byte> bytes = save_checkpoint(state_dict(*net), ".safetensors");
///
/// Throws:  c10::ValueError, as above, and for a max_shard_size, which only files have
CONVKIT_API std::vector<std::byte> save_checkpoint(const StateDict& state,
                                                   const std::string& extension,
                                                   const SaveCheckpointOptions& options = {});

/// Writes these bytes to a stream.
///
/// Throws:  c10::ValueError, as above; CheckpointError for a stream that takes no more
CONVKIT_API void save_checkpoint(std::ostream& stream, const StateDict& state,
                                 const std::string& extension,
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
///          Python's keywords, for another extension; CheckpointError for a disk that takes no more;
///          what the module throws.
/// Source:  torch.jit.trace
CONVKIT_API void save_torchscript(torch::nn::Module& module, const torch::Tensor& example_input,
                                  const std::string& path);

/// The names of tensors whose memory overlaps, from the first to the last element, in groups of at
/// least two: tied weights, or views of one tensor.
///
/// Source:  safetensors 0.8.0, safetensors.torch._find_shared_tensors
CONVKIT_API std::vector<std::vector<std::string>> shared_tensors(const StateDict& state);

}  // namespace convkit

#pragma once

#include <convkit/module.h>

#include <torch/nn/module.h>
#include <torch/ordered_dict.h>
#include <torch/types.h>

#include <functional>
#include <string>
#include <vector>

namespace convkit {

/// Tensors under their names, in order; each name once.
using StateDict = torch::OrderedDict<std::string, torch::Tensor>;

/// The parameters and persistent buffers of a module and its children, under Python's keys and in
/// Python's order: those of a module before those of its children. The tensors are the module's,
/// detached: writing to them changes the module.
///
/// Source:  torch.nn.Module.state_dict
CONVKIT_API StateDict state_dict(const torch::nn::Module& module);

/// The entries whose keys begin with `prefix`, under the rest of their keys.
CONVKIT_API StateDict with_prefix_removed(const StateDict& state, const std::string& prefix);

/// These options say how load_state_dict() loads.
struct LoadStateDictOptions {
  /// Whether missing and unexpected keys are errors.
  bool strict = true;
  /// Makes the module take the given tensors, with their type and device, instead of copying them.
  bool assign = false;
  /// Loads the entries whose keys begin with the prefix, without it; the others are left aside.
  std::string prefix = {};
  /// Gives a key (without the prefix) the module's name for it; an empty one drops the entry.
  std::function<std::string(const std::string&)> rename = {};
  /// Leaves a tensor of another shape out, and returns its key, instead of an error.
  bool skip_mismatched = false;
};

/// The keys that load_state_dict() did not load.
struct LoadStateDictResult {
  std::vector<std::string> missing_keys;     ///< those that the module has alone
  std::vector<std::string> unexpected_keys;  ///< those that the state_dict has alone
  std::vector<std::string> skipped_keys;     ///< those of another shape, with skip_mismatched
};

/// Copies a state_dict into a module, converted to its types and devices. A module may take keys of
/// its older versions (StateKeys). As in Python a missing num_batches_tracked is no error, a tensor
/// of shape [1] is accepted for a single number, and no other shape is broadcast. Optimizers that
/// hold the parameters stay valid.
///
///     load_state_dict(*net, state, {.prefix = "module."});
///
/// Sources may lie in the module's own memory: what a copy would overwrite is copied first. Of two
/// names of one tensor the last one is loaded, as in Python.
///
/// Throws:  c10::Error with all missing, unexpected and mis-shaped keys, in Python's words, and for
///          tensors of the module that cannot be written to: those whose elements share memory, as
///          after expand(), and outside of c10::InferenceMode those that were made in it. The module
///          is then unchanged.
/// Source:  torch.nn.Module.load_state_dict
/// Differs: Python has copied what fits by the time it raises, takes the first of several numbers for
///          a single one, and writes to tensors whose elements share memory unless they are expanded.
///          With .assign it makes new parameters; here a tensor takes no inference tensor in place of
///          another one, nor the other way round.
CONVKIT_API LoadStateDictResult load_state_dict(torch::nn::Module& module, const StateDict& state,
                                                const LoadStateDictOptions& options = {});

}  // namespace convkit

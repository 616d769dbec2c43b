#pragma once

#include "files/file.h"
#include "files/pickle_checkpoint.h"

#include <functional>
#include <memory>
#include <string_view>

namespace convkit::detail {

/// Takes what a file holds: its pickle, what makes its tensors, and the classes of a TorchScript
/// archive, or null.
using TakePickle = std::function<void(const Pickle&, const MakeTensor&, ScriptClasses*)>;

/// Reads torch.save's zip file: a pickle, and a record for each storage. TorchScript's and
/// LibTorch's own archives are the same.
void read_torch_zip(const std::shared_ptr<const MappedFile>& file, const TakePickle& take);

/// Whether a file begins as torch.save's from before torch 1.6 do.
bool is_torch_legacy(std::string_view bytes);

/// Reads torch.save's file from before torch 1.6: five pickles, then the storages.
void read_torch_legacy(const std::shared_ptr<const MappedFile>& file, const TakePickle& take);

}  // namespace convkit::detail

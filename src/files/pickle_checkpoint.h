#pragma once

#include <convkit/checkpoint.h>

#include "files/pickle_machine.h"
#include "files/script_classes.h"

#include <functional>

namespace convkit::detail {

/// Makes the tensor of a value of kind kTensor, which the error of a bad one calls `name`.
using MakeTensor = std::function<torch::Tensor(Id, const std::string& name)>;

/// Chooses what `options` ask for in a pickle, and gives its tensors their names. `classes` are
/// those of a TorchScript archive; null where there are none.
Checkpoint checkpoint_of(const std::string& path, const Pickle& pickle,
                         const LoadCheckpointOptions& options, const MakeTensor& make_tensor,
                         ScriptClasses* classes = nullptr);

}  // namespace convkit::detail

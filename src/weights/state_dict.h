#pragma once

#include <convkit/state_dict.h>

namespace convkit::detail {

/// The parameters and persistent buffers of one module, without those of its children. The tensors
/// are the module's own, attached.
StateDict own_state(const torch::nn::Module& module);

}  // namespace convkit::detail

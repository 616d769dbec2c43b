#pragma once

#include "compile/tape/tape.h"

#include <torch/nn/module.h>

namespace convkit::detail {

/// Runs `forward` on `inputs`, without gradients, and records it; its results go into `outputs`.
/// Throws c10::Error, with the operator's name, for what cannot be recorded faithfully.
Tape record_tape(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs,
                 Tensors* outputs);

}  // namespace convkit::detail

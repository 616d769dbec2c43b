#pragma once

#include "compile/tape/tape.h"

#include <convkit/compile.h>

#include <torch/nn/module.h>

#include <optional>

/// What compile() expects of its options and inputs.
namespace convkit::detail {

/// Throws c10::ValueError for options out of range.
void check_options(const CompileOptions& options);

/// Throws c10::ValueError where nothing is on CUDA: tf32 would have no effect.
void check_cuda(const Tensors& inputs);

/// Throws c10::ValueError for a dtype that does not go with a module whose floats are on this device, or are of
/// several types or devices.
void check_device(const CompileOptions& options, const std::optional<torch::Device>& device);

/// The inputs as plans take them: memory that holds their numbers, in any order of dimensions. Throws
/// c10::ValueError for another number of them, and for what is no ordinary tensor.
Tensors checked_inputs(const Tensors& given, std::size_t count);

/// The device of the module and the inputs, if all their floating point numbers are float32 on one CPU
/// or CUDA device.
std::optional<torch::Device> device_of_floats(const torch::nn::Module& module,
                                              const Tensors& inputs);

}  // namespace convkit::detail

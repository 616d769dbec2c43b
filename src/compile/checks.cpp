#include "compile/checks.h"

#include "compile/engines/alternatives.h"

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include <algorithm>

namespace convkit::detail {

namespace {

/// A tensor whose memory holds its numbers and nothing else. A copy has its dimensions in the same order: what
/// LibTorch's operators make of it lies in memory as what they make of the tensor itself.
torch::Tensor in_memory(const torch::Tensor& given) {
  torch::Tensor input = given;
  if (input._is_zerotensor()) input = at::zeros(input.sizes(), input.options());
  if (input.is_conj() || input.is_neg()) input = input.resolve_conj().resolve_neg();
  if (input.is_non_overlapping_and_dense()) return input;
  const auto strides = at::infer_dense_strides(input.sizes(), input.strides());
  return at::empty_strided(input.sizes(), strides, input.options()).copy_(input);
}

}  // namespace

void check_cuda(const Tensors& inputs) {
  const bool cuda = std::any_of(inputs.begin(), inputs.end(),
                                [](const torch::Tensor& input) { return input.is_cuda(); });
  TORCH_CHECK_VALUE(cuda, "compile: expected tf32 for inputs on CUDA alone, got inputs on ",
                    inputs.empty() ? torch::Device(torch::kCPU) : inputs.front().device());
}

void check_options(const CompileOptions& options) {
  TORCH_CHECK_VALUE(options.dtype == torch::kFloat32 || options.dtype == torch::kBFloat16 ||
                        options.dtype == torch::kHalf,
                    "compile: expected dtype to be Float, BFloat16 or, on CUDA, Half, got ",
                    c10::toString(options.dtype));
  TORCH_CHECK_VALUE(options.max_plans >= 1, "compile: expected max_plans >= 1, got ",
                    options.max_plans);
  TORCH_CHECK_VALUE(!options.memory_format ||
                        options.memory_format == torch::MemoryFormat::Contiguous ||
                        options.memory_format == torch::MemoryFormat::ChannelsLast,
                    "compile: expected memory_format to be Contiguous or ChannelsLast, got ",
                    *options.memory_format);
  check_choices(options.choices);
  for (const auto& [key, way] : options.choices) {
    TORCH_CHECK_VALUE(options.winograd || !way.starts_with("winograd"),
                      "compile: expected winograd = true for choices that have it, got false; \"",
                      key, "\" is one of them");
  }
}

Tensors checked_inputs(const Tensors& given, std::size_t count) {
  TORCH_CHECK_VALUE(given.size() == count, "compile: expected ", count,
                    count == 1 ? " input, got " : " inputs, got ", given.size());
  Tensors inputs;
  inputs.reserve(given.size());
  for (const torch::Tensor& input : given) {
    TORCH_CHECK_VALUE(input.defined(), "compile: expected a tensor, got an undefined one");
    TORCH_CHECK_VALUE(
        input.layout() == torch::kStrided && !input.is_meta() && !input.is_quantized(),
        "compile: expected ordinary (strided) tensors, got ", input.toString());
    inputs.push_back(in_memory(input));
  }
  return inputs;
}

std::optional<torch::Device> device_of_floats(const torch::nn::Module& module,
                                              const Tensors& inputs) {
  const torch::Device device = inputs.empty() ? torch::kCPU : inputs.front().device();
  if (!device.is_cpu() && !device.is_cuda()) return std::nullopt;
  const auto fit = [&](const Tensors& tensors) {
    return std::all_of(tensors.begin(), tensors.end(), [&](const torch::Tensor& tensor) {
      if (tensor.is_meta()) return true;  // it has no numbers
      return tensor.device() == device && !tensor.is_complex() &&
             (!tensor.is_floating_point() || tensor.dtype() == torch::kFloat32);
    });
  };
  const bool all = fit(inputs) && fit(module.parameters()) && fit(module.buffers());
  return all ? std::optional(device) : std::nullopt;
}

void check_device(const CompileOptions& options, const std::optional<torch::Device>& device) {
  const bool on_cpu = device && device->is_cpu();
  TORCH_CHECK_VALUE(options.dtype == torch::kFloat32 ||
                        (device && (!on_cpu || options.dtype == torch::kBFloat16)),
                    "compile: expected a module and inputs of Float",
                    options.dtype == torch::kHalf ? " on CUDA" : "", ", to compute in ",
                    c10::toString(options.dtype));
}

}  // namespace convkit::detail

#include "compile/engines/engine.h"

#include "compile/plan/step_macs.h"
#include "core/strides.h"

#include <ATen/ATen.h>

namespace convkit::detail {

Engine::~Engine() = default;

namespace {

/// A tensor that lies as asked: the same memory where it does so already, and need not be copied.
torch::Tensor laid_out(const torch::Tensor& x, const Copy& copy) {
  const bool own = x.use_count() == 1 && x.storage().use_count() == 1;
  if (!same_layout(x.sizes(), x.strides(), copy.strides) || (copy.owned && !own)) {
    return at::empty_strided(x.sizes(), dense_or_rows(x.sizes(), copy.strides), x.options())
        .copy_(x);
  }
  // Some operators ask for the strides of dimensions of size 1, too.
  return x.strides() == copy.strides ? x : x.as_strided(x.sizes(), copy.strides);
}

}  // namespace

void run_step(const Step& step, std::vector<torch::Tensor>& values) {
  const auto at = [&](int64_t id) -> torch::Tensor& { return tensor_at(values, id); };
  if (const auto* operation = std::get_if<Operation>(&step)) {
    call(*operation, values);
  } else if (const auto* convolution = std::get_if<Convolution>(&step)) {
    const Convolution& c = *convolution;
    const torch::Tensor& x = at(c.input);
    torch::Tensor y =
        c.linear       ? at::linear(x, c.weight, c.bias)
        : c.transposed ? at::conv_transpose2d(x, c.weight, c.bias, c.stride, c.padding,
                                              c.output_padding, c.groups, c.dilation)
                       : at::conv2d(x, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups);
    if (c.added >= 0) y.add_(at(c.added));
    at(c.output) = std::move(y);
    if (c.activation) call(*c.activation, values);
  } else if (const auto* copy = std::get_if<Copy>(&step)) {
    at(copy->output) = laid_out(at(copy->input), *copy);
  } else {
    const auto& norm = std::get<ChannelNorm>(step);
    const torch::Tensor x = at(norm.input).permute({0, 2, 3, 1});
    at(norm.output) =
        at::layer_norm(x, {x.size(3)}, norm.weight, norm.bias, norm.eps).permute({0, 3, 1, 2});
  }
}

StepExplanation explained(const Graph& plan, const Step& step, torch::Dtype dtype) {
  StepExplanation result;
  result.what = describe(step);
  result.fused = fused_in(step);
  for (const int64_t id : outputs_of(step)) {
    const Value& value = plan.value(id);
    const torch::Dtype type = value.dtype == torch::kFloat32 ? dtype : value.dtype;
    result.bytes += element_count(value.sizes) * static_cast<int64_t>(c10::elementSize(type));
  }
  result.macs = macs_of(plan, step);
  return result;
}

Tensors copies(const Tensors& tensors) {
  Tensors results;
  for (const torch::Tensor& tensor : tensors) results.push_back(tensor.clone());
  return results;
}

}  // namespace convkit::detail

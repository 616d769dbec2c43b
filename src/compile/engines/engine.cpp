#include "compile/engines/engine.h"

#include "compile/plan/step_macs.h"
#include "core/strides.h"

#include <ATen/ATen.h>

namespace convkit::detail {

Engine::~Engine() = default;

namespace {

/// A tensor that lies as asked: the same memory where it does so already, and need not be copied.
torch::Tensor laid_out(const torch::Tensor& x, const Copy& copy) {
  const bool own = copy.last && x.use_count() == 1 && x.storage().use_count() == 1;
  if (!same_layout(x.sizes(), x.strides(), copy.strides) || (copy.owned && !own)) {
    return at::empty_strided(x.sizes(), dense_or_rows(x.sizes(), copy.strides), x.options())
        .copy_(x);
  }
  // Some operators ask for the strides of dimensions of size 1, too.
  return x.strides() == copy.strides ? x : x.as_strided(x.sizes(), copy.strides);
}

/// Numbers along an axis of a tensor that has so many dimensions, or one number, so that they broadcast.
torch::Tensor along(const torch::Tensor& numbers, int64_t axis, int64_t dims) {
  if (numbers.dim() == 0) return numbers;
  std::vector<int64_t> sizes(static_cast<std::size_t>(dims - axis), 1);
  sizes[0] = -1;
  return numbers.view(sizes);
}

torch::Tensor convolved(const Convolution& c, torch::Tensor x) {
  if (c.linear) return at::linear(x, c.weight, c.bias);
  if (c.transposed) {
    return at::conv_transpose2d(x, c.weight, c.bias, c.stride, c.padding, c.output_padding,
                                c.groups, c.dilation);
  }
  if (!is_lopsided(c)) {
    return at::conv2d(x, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups);
  }
  return at::conv2d(padded(c, x), c.weight, c.bias, c.stride, torch::IntArrayRef{0, 0}, c.dilation,
                    c.groups);
}

void run(const Convolution& c, std::vector<torch::Tensor>& values) {
  torch::Tensor y = convolved(c, tensor_at(values, c.input));
  if (c.added >= 0) y.add_(tensor_at(values, c.added));
  tensor_at(values, c.output) = std::move(y);
  if (c.activation) call(*c.activation, values);
  scale_and_shift(c, values);
}

void run(const ChannelNorm& norm, std::vector<torch::Tensor>& values) {
  const torch::Tensor x = tensor_at(values, norm.input).permute({0, 2, 3, 1});
  tensor_at(values, norm.output) =
      at::layer_norm(x, {x.size(3)}, norm.weight, norm.bias, norm.eps).permute({0, 3, 1, 2});
}

void run(const Copy& copy, std::vector<torch::Tensor>& values) {
  tensor_at(values, copy.output) = laid_out(tensor_at(values, copy.input), copy);
}

void run(const Affine& affine, std::vector<torch::Tensor>& values) {
  const torch::Tensor& x = tensor_at(values, affine.input);
  const auto numbers = [&](const torch::Tensor& some) {
    return some.defined() ? along(some, affine.axis, x.dim()) : some;
  };
  const torch::Tensor scale = numbers(affine.scale);
  const torch::Tensor shift = numbers(affine.shift);
  tensor_at(values, affine.output) = !scale.defined()   ? at::add(x, shift)
                                     : !shift.defined() ? at::mul(x, scale)
                                                        : at::addcmul(shift, x, scale);
  if (affine.activation) call(*affine.activation, values);
}

void run(const PaddedPool& padded, std::vector<torch::Tensor>& values) {
  call(padded.pad, values);
  call(padded.pool, values);
  tensor_at(values, padded.pad.outputs[0]) = torch::Tensor();
}

}  // namespace

torch::Tensor padded(const Convolution& c, const torch::Tensor& x) {
  const auto after = padding_after(c);
  return at::constant_pad_nd(x, {c.padding[1], after[1], c.padding[0], after[0]});
}

void scale_and_shift(const Convolution& c, std::vector<torch::Tensor>& values) {
  torch::Tensor& y = tensor_at(values, c.output);
  if (c.slope.defined()) y = at::prelu(y, c.slope);
  const int64_t axis = channel_axis(c, static_cast<std::size_t>(y.dim()));
  if (c.scale.defined()) y.mul_(along(c.scale, axis, y.dim()));
  if (c.shift.defined()) y.add_(along(c.shift, axis, y.dim()));
}

void run_step(const Step& step, std::vector<torch::Tensor>& values) {
  if (const auto* operation = std::get_if<Operation>(&step)) return call(*operation, values);
  std::visit(
      [&](const auto& other) {
        if constexpr (requires { other.output; }) run(other, values);
      },
      step);
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

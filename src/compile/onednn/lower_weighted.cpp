#include "compile/onednn/lowering.h"

#include <algorithm>

namespace convkit::detail {

using dnnl::memory;

/// A convolution as oneDNN runs it.
struct Lowering::Prepared {
  dnnl::primitive primitive;
  Desc scratchpad;
  std::vector<Operand> constants;
  std::string implementation;
};

namespace {

void refuse_reference(const std::string& implementation) {
  if (implementation.find("ref") != std::string::npos) {
    throw dnnl::error(dnnl_unimplemented, "it has a reference implementation alone");
  }
}

void append(dnnl::post_ops& ops, const std::optional<Operation>& activation) {
  if (!activation) return;
  const Eltwise eltwise = eltwise_of(*activation).value();
  ops.append_eltwise(eltwise.algorithm, eltwise.alpha, eltwise.beta);
}

/// oneDNN's [groups, out, in, kH, kW], of LibTorch's weight.
torch::Tensor grouped_weight(const Convolution& c) {
  torch::Tensor weight = c.weight;
  if (c.groups > 1) {
    auto sizes = weight.sizes().vec();
    sizes[0] /= c.groups;
    sizes.insert(sizes.begin(), c.groups);
    weight = weight.reshape(sizes);
  }
  if (c.transposed) weight = weight.transpose(c.groups > 1 ? 1 : 0, c.groups > 1 ? 2 : 1);
  return weight.contiguous();
}

memory::desc plain_desc(const torch::Tensor& tensor) {
  const memory::dims dims = tensor.sizes().vec();
  return {dims, memory::data_type::f32, row_strides(dims)};
}

memory::desc bias_desc(const Convolution& c) {
  if (!c.bias.defined()) return {};
  return {{c.bias.numel()}, memory::data_type::f32, memory::format_tag::a};
}

/// Part of a tensor [N, C, H, W]: rows of one image.
Slot rows_of(const Slot& slot, int64_t image, int64_t first, int64_t height) {
  Slot result = slot;
  result.sizes[0] = 1;
  result.sizes[2] = height;
  result.offset += image * slot.strides[0] + first * slot.strides[2];
  if (slot.strides[1] == 1) result.strides[0] = height * slot.strides[2];  // or it is not dense
  return result;
}

}  // namespace

bool Lowering::lower(const Convolution& c) {
  if (!is_float(c.input) || is_constant(c.input)) return false;
  if (c.activation && !eltwise_of(*c.activation)) return false;
  if (c.added >= 0 && is_constant(c.added)) return false;
  if (element_count(value(c.output).sizes) == 0) return false;
  if (c.linear) return lower_linear(c);
  if (lower_with_depthwise(c) || lower_by_rows(c)) return true;

  const Slot x = dense(c.input);
  dnnl::post_ops ops;
  std::vector<Operand> operands;
  const Slot y = add_residual(c, x, channels_last_strides(value(c.output).sizes), ops, operands);
  append(ops, c.activation);
  auto attr = attributes();
  attr.set_post_ops(ops);
  Dims right = c.padding;
  if (c.transposed) {
    for (std::size_t i = 0; i < 2; ++i) right[i] -= c.output_padding[i];
  }
  const Prepared made = prepare(c, desc_of(x), desc_of(y), c.padding, right, attr);
  operands.push_back(operand(DNNL_ARG_SRC, x));
  operands.push_back(operand(DNNL_ARG_DST, y));
  operands.insert(operands.end(), made.constants.begin(), made.constants.end());
  add_primitive(made.primitive, made.scratchpad, std::move(operands),
                describe(Step(c)) + made.implementation);
  set_slot(c.output, y);
  return true;
}

Slot Lowering::add_residual(const Convolution& c, const Slot& x,
                            const std::vector<int64_t>& strides, dnnl::post_ops& ops,
                            std::vector<Operand>& operands) {
  if (c.added >= 0) {
    const Slot added = as(c.added, strides, dtype_);
    if (may_overwrite(added, strides) && added.buffer != x.buffer) {
      ops.append_sum(1.0F);
      return added;
    }
    const auto rows = [](const Dims& sizes) {
      return Dims{element_count(sizes) / sizes.back(), sizes.back()};
    };
    const Dims dims = c.linear ? rows(added.sizes) : added.sizes;
    const Desc desc(dims, type_of(dtype_), c.linear ? row_strides(dims) : strides);
    ops.append_binary(dnnl::algorithm::binary_add, desc);
    operands.push_back(operand(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, added, desc));
  }
  return new_slot(value(c.output).sizes, strides, dtype_);
}

Lowering::Prepared Lowering::prepare(const Convolution& c, const Desc& x, const Desc& y,
                                     const Dims& left, const Dims& right,
                                     const dnnl::primitive_attr& attr) {
  const torch::Tensor weight = grouped_weight(c);
  const Desc any(weight.sizes().vec(), type_of(dtype_), memory::format_tag::any);
  const Dims dilation{c.dilation[0] - 1, c.dilation[1] - 1};
  const auto inference = dnnl::prop_kind::forward_inference;
  Prepared result;
  const auto finish = [&](const auto& descriptor) {
    const std::string implementation = descriptor.impl_info_str();
    refuse_reference(implementation);
    result.scratchpad = descriptor.scratchpad_desc();
    result.implementation = "  (oneDNN " + implementation + ")";
    result.constants.push_back(
        operand(DNNL_ARG_WEIGHTS, packed(weight, plain_desc(weight), descriptor.weights_desc())));
    if (c.bias.defined()) result.constants.push_back(operand(DNNL_ARG_BIAS, vector_of(c.bias)));
  };
  if (c.transposed) {
    const dnnl::deconvolution_forward::primitive_desc descriptor(
        cpu_engine(), inference, dnnl::algorithm::deconvolution_direct, x, any, bias_desc(c), y,
        c.stride, dilation, left, right, attr);
    finish(descriptor);
    result.primitive = dnnl::deconvolution_forward(descriptor);
  } else {
    const dnnl::convolution_forward::primitive_desc descriptor(
        cpu_engine(), inference, dnnl::algorithm::convolution_direct, x, any, bias_desc(c), y,
        c.stride, dilation, left, right, attr);
    finish(descriptor);
    result.primitive = dnnl::convolution_forward(descriptor);
  }
  return result;
}

bool Lowering::lower_linear(const Convolution& c) {
  const Slot x = as(c.input, row_strides(slot(c.input).sizes), dtype_);
  dnnl::post_ops ops;
  std::vector<Operand> operands;
  const Slot y = add_residual(c, x, row_strides(value(c.output).sizes), ops, operands);
  append(ops, c.activation);
  auto attr = attributes();
  attr.set_post_ops(ops);

  const auto rows = [&](const Slot& place) {
    const Dims dims{element_count(place.sizes) / place.sizes.back(), place.sizes.back()};
    return Desc(dims, type_of(dtype_), row_strides(dims));
  };
  const torch::Tensor weight = c.weight.contiguous();
  const dnnl::inner_product_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, rows(x),
      Desc(weight.sizes().vec(), type_of(dtype_), memory::format_tag::any), bias_desc(c), rows(y),
      attr);
  refuse_reference(descriptor.impl_info_str());
  operands.push_back(operand(DNNL_ARG_SRC, x, rows(x)));
  operands.push_back(operand(DNNL_ARG_DST, y, rows(y)));
  operands.push_back(
      operand(DNNL_ARG_WEIGHTS, packed(weight, plain_desc(weight), descriptor.weights_desc())));
  if (c.bias.defined()) operands.push_back(operand(DNNL_ARG_BIAS, vector_of(c.bias)));
  add_primitive(descriptor, dnnl::inner_product_forward(descriptor), std::move(operands),
                describe(Step(c)));
  set_slot(c.output, y);
  return true;
}

// ---- A 1x1 convolution and the depthwise one after it, in one primitive: what is between them
// never leaves the cache.

const Convolution* Lowering::depthwise_after(const Convolution& c) const {
  const bool pointwise = c.weight.size(2) == 1 && c.weight.size(3) == 1 && c.groups == 1 &&
                         c.stride == Dims{1, 1} && c.padding == Dims{0, 0} && !c.transposed;
  if (!pointwise || c.added >= 0 || uses_.at(index(c.output)) != 1 || done_ >= plan_.steps.size()) {
    return nullptr;
  }
  const auto* next = std::get_if<Convolution>(&plan_.steps[done_]);
  if (next == nullptr || next->input != c.output || next->linear || next->transposed ||
      next->added >= 0 || (next->activation && !eltwise_of(*next->activation)) ||
      plan_.overwritten.contains(next->output)) {
    return nullptr;
  }
  const bool depthwise = next->groups == c.weight.size(0) && next->weight.size(0) == next->groups &&
                         next->weight.size(2) == 3 && next->weight.size(3) == 3 &&
                         next->padding == Dims{1, 1} && next->dilation == Dims{1, 1} &&
                         next->stride[0] == next->stride[1] && next->stride[0] <= 2;
  return depthwise ? next : nullptr;
}

bool Lowering::lower_with_depthwise(const Convolution& c) {
  const Convolution* depthwise = depthwise_after(c);
  if (depthwise == nullptr || dtype_ != torch::kFloat32) return false;
  dnnl::post_ops ops;
  append(ops, c.activation);
  const auto type = memory::data_type::f32;
  const int place = DNNL_ARG_ATTR_POST_OP_DW;
  ops.append_dw(type, depthwise->bias.defined() ? type : memory::data_type::undef, type, 3,
                depthwise->stride[0], 1);
  append(ops, depthwise->activation);
  auto attr = attributes();
  attr.set_post_ops(ops);
  const Slot x = dense(c.input);
  const Slot y = new_slot(depthwise->output);
  const torch::Tensor weight = grouped_weight(c);
  const auto& between = value(c.output).sizes;
  try {
    const dnnl::convolution_forward::primitive_desc descriptor(
        cpu_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
        desc_of(x), Desc(weight.sizes().vec(), type, memory::format_tag::any), bias_desc(c),
        Desc(between, type, channels_last_strides(between)), c.stride, Dims{0, 0}, c.padding,
        c.padding, attr);
    refuse_reference(descriptor.impl_info_str());
    if (descriptor.dst_desc() != desc_of(y)) return false;
    const torch::Tensor second = grouped_weight(*depthwise);
    const Desc second_desc =
        descriptor.query_md(dnnl::query::exec_arg_md, place | DNNL_ARG_WEIGHTS);
    std::vector<Operand> operands{
        operand(DNNL_ARG_SRC, x), operand(DNNL_ARG_DST, y),
        operand(DNNL_ARG_WEIGHTS, packed(weight, plain_desc(weight), descriptor.weights_desc())),
        operand(place | DNNL_ARG_WEIGHTS, packed(second, plain_desc(second), second_desc))};
    if (c.bias.defined()) operands.push_back(operand(DNNL_ARG_BIAS, vector_of(c.bias)));
    if (depthwise->bias.defined()) {
      operands.push_back(operand(place | DNNL_ARG_BIAS, vector_of(depthwise->bias)));
    }
    add_primitive(descriptor, dnnl::convolution_forward(descriptor), std::move(operands),
                  describe(Step(c)) + " + " + describe(Step(*depthwise)));
  } catch (const dnnl::error&) {
    return false;  // oneDNN has it for few sizes: each of them by itself
  }
  set_slot(depthwise->output, y);
  ++done_;
  return true;
}

// ---- A large result as [N, C, H, W]: some rows at a time, transposed while they are in the cache.

bool Lowering::lower_by_rows(const Convolution& c) {
  // Bytes of a piece: for each thread half of its core's second cache, which may have 512 KiB.
  const int64_t cache = int64_t{256} * 1024 * threads_;
  const auto& sizes = value(c.output).sizes;
  const int64_t row_bytes = sizes[1] * sizes[3] * static_cast<int64_t>(sizeof(float));
  if (memory_format_ != torch::MemoryFormat::Contiguous || !is_output_alone(c.output) ||
      !transposes_on(threads_) || c.transposed || c.added >= 0 || dtype_ != torch::kFloat32 ||
      c.padding[0] > (c.weight.size(2) - 1) * c.dilation[0] ||  // rows of nothing but padding
      row_bytes * sizes[2] < 4 * cache || row_bytes > cache) {
    return false;
  }
  dnnl::post_ops ops;
  append(ops, c.activation);
  auto attr = attributes();
  attr.set_post_ops(ops);
  const Slot x = dense(c.input);
  const Slot y = new_slot(sizes, row_strides(sizes), dtype_);
  const int64_t most = std::min(sizes[2], cache / row_bytes);
  const std::vector<int64_t> piece{1, sizes[1], most, sizes[3]};
  const Slot rows = new_slot(piece, channels_last_strides(piece), dtype_);
  std::map<std::vector<int64_t>, Prepared> known;
  const int64_t reach = (c.weight.size(2) - 1) * c.dilation[0];
  std::string text = describe(Step(c)) + " by rows";
  for (int64_t image = 0; image < sizes[0]; ++image) {
    for (int64_t row = 0; row < sizes[2]; row += most) {
      const int64_t height = std::min(most, sizes[2] - row);
      const int64_t first = row * c.stride[0] - c.padding[0];
      const int64_t last = (row + height - 1) * c.stride[0] - c.padding[0] + reach;
      const int64_t above = std::max<int64_t>(0, -first);
      const int64_t below = std::max<int64_t>(0, last - x.sizes[2] + 1);
      const int64_t end = last + 1 - below;
      const Slot from = rows_of(x, image, first + above, end - first - above);
      const Slot to = rows_of(rows, 0, 0, height);
      const std::vector<int64_t> key{from.sizes[2], above, below, height};
      auto prepared = known.find(key);
      if (prepared == known.end()) {
        prepared = known
                       .emplace(key, prepare(c, desc_of(from), desc_of(to), {above, c.padding[1]},
                                             {below, c.padding[1]}, attr))
                       .first;
      }
      std::vector<Operand> operands = prepared->second.constants;
      operands.push_back(operand(DNNL_ARG_SRC, from));
      operands.push_back(operand(DNNL_ARG_DST, to));
      add_primitive(prepared->second.primitive, prepared->second.scratchpad, std::move(operands),
                    text.empty() ? text : text + prepared->second.implementation);
      text.clear();
      add_copy(to, rows_of(y, image, row, height), text);
    }
  }
  set_slot(c.output, y);
  return true;
}

// ---- Norms.

bool Lowering::lower(const ChannelNorm& norm) {
  const Slot x = dense(norm.input);
  const Slot y = new_slot(norm.output);
  const Dims dims{x.sizes[0], x.sizes[2], x.sizes[3], x.sizes[1]};
  const Desc desc(dims, type_of(dtype_), row_strides(dims));
  auto flags = dnnl::normalization_flags::none;
  if (norm.weight.defined()) flags |= dnnl::normalization_flags::use_scale;
  if (norm.bias.defined()) flags |= dnnl::normalization_flags::use_shift;
  const dnnl::layer_normalization_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, desc, desc, static_cast<float>(norm.eps),
      flags, attributes());
  std::vector<Operand> operands{operand(DNNL_ARG_SRC, x, desc), operand(DNNL_ARG_DST, y, desc)};
  if (norm.weight.defined()) operands.push_back(operand(DNNL_ARG_SCALE, vector_of(norm.weight)));
  if (norm.bias.defined()) operands.push_back(operand(DNNL_ARG_SHIFT, vector_of(norm.bias)));
  add_primitive(descriptor, dnnl::layer_normalization_forward(descriptor), std::move(operands),
                describe(Step(norm)));
  set_slot(norm.output, y);
  return true;
}

}  // namespace convkit::detail

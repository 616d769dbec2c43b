#include "compile/onednn/lower_convolution.h"

#include "compile/onednn/choice.h"
#include "compile/onednn/lower_affine.h"
#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/packed_weights.h"
#include "compile/onednn/restated.h"

namespace convkit::detail {

using dnnl::memory;

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

namespace {

/// One number for each channel, as a post-op of a primitive whose output has so many dimensions.
memory::desc channels_desc(const torch::Tensor& numbers, std::size_t dims) {
  Sizes sizes(dims, 1);
  sizes[1] = numbers.numel();
  return {sizes, memory::data_type::f32, computing_strides(sizes)};
}

PackedConstant packed_channels(const torch::Tensor& numbers, std::size_t dims) {
  const memory::desc desc = channels_desc(numbers, dims);
  return packed(numbers.contiguous().view(desc.get_dims()), desc);
}

void append_channels(PostOps& post, dnnl::algorithm algorithm, const torch::Tensor& numbers,
                     std::size_t dims) {
  const int place = DNNL_ARG_ATTR_MULTIPLE_POST_OP(post.ops.len());
  post.ops.append_binary(algorithm, channels_desc(numbers, dims));
  post.operands.push_back(
      Lowering::operand(place | DNNL_ARG_SRC_1, packed_channels(numbers, dims)));
}

void append_prelu(PostOps& post, const torch::Tensor& slope, std::size_t dims) {
  if (slope.numel() == 1) {
    post.ops.append_eltwise(dnnl::algorithm::eltwise_relu, slope.item<float>(), 0);
    return;
  }
  constexpr int kChannels = 1 << 1;
  const int place = DNNL_ARG_ATTR_MULTIPLE_POST_OP(post.ops.len());
  post.ops.append_prelu(kChannels);
  post.operands.push_back(
      Lowering::operand(place | DNNL_ARG_WEIGHTS, packed_channels(slope, dims)));
}

}  // namespace

void append_rest(PostOps& post, const Convolution& c, std::size_t dims) {
  append(post.ops, c.activation);
  if (c.slope.defined()) append_prelu(post, c.slope, dims);
  const auto is_number = [](const torch::Tensor& numbers) {
    return numbers.defined() && numbers.dim() == 0;
  };
  if (is_number(c.scale) || (is_number(c.shift) && !c.scale.defined())) {
    const float scale = c.scale.defined() ? c.scale.item<float>() : 1;
    const float shift = is_number(c.shift) ? c.shift.item<float>() : 0;
    post.ops.append_eltwise(dnnl::algorithm::eltwise_linear, scale, shift);
  } else if (c.scale.defined()) {
    append_channels(post, dnnl::algorithm::binary_mul, c.scale, dims);
    if (is_number(c.shift)) {
      post.ops.append_eltwise(dnnl::algorithm::eltwise_linear, 1, c.shift.item<float>());
    }
  }
  if (c.shift.defined() && !is_number(c.shift)) {
    append_channels(post, dnnl::algorithm::binary_add, c.shift, dims);
  }
}

dnnl::primitive_attr attributes_with(const dnnl::post_ops& ops) {
  dnnl::primitive_attr result = attributes();
  result.set_post_ops(ops);
  return result;
}

PreparedConvolution prepare(const Convolution& c, torch::Dtype dtype, const memory::desc& x,
                            const memory::desc& y, const Sizes& left, const Sizes& right,
                            const dnnl::primitive_attr& attr) {
  const torch::Tensor weight = grouped_weight(c);
  const memory::desc any(weight.sizes().vec(), type_of(dtype), memory::format_tag::any);
  const Sizes dilation{c.dilation[0] - 1, c.dilation[1] - 1};
  const auto inference = dnnl::prop_kind::forward_inference;
  PreparedConvolution result;
  const auto finish = [&](const auto& descriptor) {
    result.implementation = descriptor.impl_info_str();
    refuse_reference(result.implementation);
    result.scratchpad = descriptor.scratchpad_desc();
    result.x = descriptor.src_desc();
    result.y = descriptor.dst_desc();
    result.constants.push_back(
        Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc())));
    if (c.bias.defined()) {
      result.constants.push_back(Lowering::operand(DNNL_ARG_BIAS, vector_of(c.bias)));
    }
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

/// The rows of a matrix of so many columns.
Slot rows_of(Slot place, int64_t columns) {
  place.sizes = {element_count(place.sizes) / columns, columns};
  place.strides = row_strides(place.sizes);
  return place;
}

Slot add_residual(Lowering& lowering, const Convolution& c, const Slot& x, const Sizes& strides,
                  PostOps& post, bool turn) {
  const torch::Dtype dtype = lowering.memory().dtype();
  if (c.added >= 0) {
    const Slot added = lowering.as(c.added, strides, dtype);
    if (lowering.may_overwrite(added, strides) && added.buffer != x.buffer) {
      post.ops.append_sum(1.0F);
      return added;
    }
    const memory::desc desc = desc_of(c.linear ? rows_of(added, c.weight.size(0))
                                      : turn   ? turned(added)
                                               : added);
    post.ops.append_binary(dnnl::algorithm::binary_add, desc);
    post.operands.push_back(
        Lowering::operand(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, added, desc));
  }
  return lowering.memory().new_slot(lowering.sizes(c.output), strides, dtype);
}

Sizes right_padding(const Convolution& c) {
  Sizes right = padding_after(c);
  if (c.transposed) {
    for (std::size_t i = 0; i < 2; ++i) right[i] -= c.output_padding[i];
  }
  return right;
}

namespace {

/// Whether the kernel is one that takes long for numbers of each channel after it: some 20 ns for each number
/// of the image.
bool scales_slowly(const Convolution& c, const std::string& implementation) {
  const auto of_channels = [](const torch::Tensor& t) { return t.defined() && t.dim() == 1; };
  return implementation == "x64:gemm:jit" && (of_channels(c.scale) || of_channels(c.shift));
}

void lower_images(Lowering& lowering, const Convolution& c, bool turn);

/// The convolution, and apart from it the scale and the shift.
void lower_apart(Lowering& lowering, const Convolution& c, bool turn) {
  Convolution bare = c;
  bare.scale = torch::Tensor();
  bare.shift = torch::Tensor();
  bare.scaled_by.clear();
  lower_images(lowering, bare, turn);
  lower_affine(lowering, Affine{c.output, c.output, c.scale, c.shift, 1, c.scaled_by, {}});
}

/// On images in channels_last, which may be turned ones.
void lower_images(Lowering& lowering, const Convolution& c, bool turn) {
  const torch::Dtype dtype = lowering.memory().dtype();
  const Sizes& sizes = lowering.sizes(c.output);
  const Slot x = turn ? lowering.as(c.input, turned_strides(lowering.sizes(c.input)), dtype)
                      : lowering.dense(c.input);
  PostOps post;
  const Sizes strides = turn ? turned_strides(sizes) : channels_last_strides(sizes);
  const Slot y = add_residual(lowering, c, x, strides, post, turn);
  append_rest(post, c, strides.size());
  const Slot from = turn ? turned(x) : x;
  const Slot to = turn ? turned(y) : y;
  const Convolution same = turn ? turned(c) : c;
  const PreparedConvolution made = prepare(same, dtype, desc_of(from), desc_of(to), same.padding,
                                           right_padding(same), attributes_with(post.ops));
  if (scales_slowly(c, made.implementation)) {
    lower_apart(lowering, c, turn);
    return;
  }
  std::vector<Operand> operands = std::move(post.operands);
  operands.push_back(Lowering::operand(DNNL_ARG_SRC, from));
  operands.push_back(Lowering::operand(DNNL_ARG_DST, to));
  operands.insert(operands.end(), made.constants.begin(), made.constants.end());
  StepExplanation explanation = Lowering::explanation_of(Step(c), y);
  explanation.how = made.implementation + (turn ? ", turned" : "");
  lowering.add_primitive(made.primitive, made.scratchpad, std::move(operands),
                         std::move(explanation));
  lowering.memory().set_slot(c.output, y);
}

/// A linear layer, or a convolution as_linear().
void lower_rows(Lowering& lowering, const Convolution& c, const Slot& x, const Sizes& strides,
                StepExplanation explanation) {
  const torch::Dtype dtype = lowering.memory().dtype();
  PostOps post;
  const Slot y = add_residual(lowering, c, x, strides, post);
  append_rest(post, c, 2);
  const Slot from = rows_of(x, c.weight.size(1));
  const Slot to = rows_of(y, c.weight.size(0));
  const torch::Tensor weight = c.weight.contiguous();
  const dnnl::inner_product_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, desc_of(from),
      memory::desc(weight.sizes().vec(), type_of(dtype), memory::format_tag::any), bias_desc(c),
      desc_of(to), attributes_with(post.ops));
  refuse_reference(descriptor.impl_info_str());
  std::vector<Operand> operands = std::move(post.operands);
  operands.push_back(Lowering::operand(DNNL_ARG_SRC, from));
  operands.push_back(Lowering::operand(DNNL_ARG_DST, to));
  operands.push_back(
      Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc())));
  if (c.bias.defined()) operands.push_back(Lowering::operand(DNNL_ARG_BIAS, vector_of(c.bias)));
  explanation.bytes = bytes_of(y);
  explanation.macs = element_count(y.sizes) * c.weight.size(1);
  explanation.how = descriptor.impl_info_str() + explanation.how;
  lowering.add_primitive(dnnl::inner_product_forward(descriptor), descriptor.scratchpad_desc(),
                         std::move(operands), std::move(explanation));
  lowering.memory().set_slot(c.output, y);
}

void lower_product(Lowering& lowering, const Convolution& c) {
  const Sizes& sizes = lowering.sizes(c.output);
  const Slot x = lowering.dense(c.input);
  StepExplanation explanation = Lowering::explanation_of(Step(c), x);
  explanation.how = ", product";
  lower_rows(lowering, as_linear(c, Geometry::of(c, lowering.sizes(c.input), sizes)), x,
             channels_last_strides(sizes), std::move(explanation));
}

/// By one of oneDNN's ways.
void lower_as(Lowering& lowering, const Convolution& c, Alternative alternative) {
  switch (alternative) {
    case Alternative::kBlocked:
      return lower_blocked(lowering, c);
    case Alternative::kProduct:
      return lower_product(lowering, c);
    case Alternative::kTurned:
      return lower_images(lowering, c, true);
    default:
      if (!lower_by_rows(lowering, c)) lower_images(lowering, c, false);
  }
}

/// `lower` the convolution, and then the activation that is better apart, if there is one.
template <typename Lower>
void with_activation_apart(Lowering& lowering, const Convolution& c, const Lower& lower) {
  const auto activation = activation_apart(lowering, c);
  if (!activation) {
    lower(c);
    return;
  }
  Convolution bare = c;
  bare.activation.reset();
  const std::size_t first = lowering.command_count();
  lower(bare);
  const Slot y = lowering.memory().slot(c.output);
  // One command stands for all of the step.
  const std::string name = describe(Step(bare));
  for (std::size_t i = first; i < lowering.command_count(); ++i) {
    StepExplanation& explanation = lowering.explanation_at(i);
    if (explanation.what != name) continue;
    explanation.what = describe(Step(c));
    explanation.fused = fused_in(Step(c));
    explanation.how += ", " + plain_name(*c.activation) + " in an own loop";
  }
  add_activation(lowering, *activation, y, y, {});
}

}  // namespace

std::optional<lanes::LaneActivation> activation_apart(Lowering& lowering, const Convolution& c) {
  const bool more = c.slope.defined() || c.scale.defined() || c.shift.defined();
  if (!c.activation || more) return std::nullopt;
  return own_activation(lowering, *c.activation, c.output);
}

bool lower_convolution(Lowering& lowering, const Convolution& c) {
  if (!lowering.is_float(c.input) || lowering.is_constant(c.input)) return false;
  if (c.activation && !eltwise_of(*c.activation)) return false;
  if (c.added >= 0 && lowering.is_constant(c.added)) return false;
  if (element_count(lowering.sizes(c.output)) == 0) return false;
  if (c.linear) return lower_linear(lowering, c);
  if (lower_planar(lowering, c) || lower_with_depthwise(lowering, c)) return true;
  const Alternative alternative = choose(lowering, c);
  if (alternative == Alternative::kLibTorch) {
    return lowering.leave_to_torch("chosen as the faster one here");
  }
  if (tile_of(alternative) > 0 && lower_winograd(lowering, c, tile_of(alternative))) return true;
  with_activation_apart(lowering, c,
                        [&](const Convolution& one) { lower_as(lowering, one, alternative); });
  return true;
}

bool lower_linear(Lowering& lowering, const Convolution& c) {
  const Slot x =
      lowering.as(c.input, row_strides(lowering.sizes(c.input)), lowering.memory().dtype());
  with_activation_apart(lowering, c, [&](const Convolution& one) {
    lower_rows(lowering, one, x, row_strides(lowering.sizes(c.output)),
               Lowering::explanation_of(Step(one), x));
  });
  return true;
}

}  // namespace convkit::detail

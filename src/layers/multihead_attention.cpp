#include <convkit/multihead_attention.h>

#include "core/check.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/_native_multi_head_attention.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/pad.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/nn/init.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace convkit {

namespace nn = torch::nn;

namespace {

/// The numbers that a mask adds to the products of queries and keys.
torch::Tensor added(const torch::Tensor& mask, torch::Dtype dtype) {
  if (!mask.defined() || mask.is_floating_point()) return mask;
  return at::zeros_like(mask, dtype).masked_fill_(mask, -std::numeric_limits<double>::infinity());
}

/// Both masks, and how the one operator calls them: 1 of the keys alone, 2 of [N, num_heads, L, S].
std::pair<std::optional<torch::Tensor>, std::optional<int64_t>> merged(
    const torch::Tensor& attn_mask, const torch::Tensor& key_padding_mask, const torch::Tensor& x,
    int64_t num_heads) {
  if (!attn_mask.defined()) {
    if (!key_padding_mask.defined()) return {std::nullopt, std::nullopt};
    return {key_padding_mask, 1};
  }
  const int64_t batch = x.size(0);
  const int64_t length = x.size(1);
  const torch::Tensor mask =
      attn_mask.dim() == 3
          ? attn_mask.view({batch, -1, length, length})
          : attn_mask.view({1, 1, length, length}).expand({batch, num_heads, -1, -1});
  if (!key_padding_mask.defined()) return {mask, 2};
  return {mask + key_padding_mask.view({batch, 1, 1, length}).expand({-1, num_heads, -1, -1}), 2};
}

/// A mask for one more key, at the end, at which all may look.
torch::Tensor with_key(const torch::Tensor& mask) {
  return mask.defined() ? at::pad(mask, {0, 1}) : mask;
}

void check_mask(const char* name, const torch::Tensor& mask,
                std::initializer_list<std::vector<int64_t>> shapes) {
  if (!mask.defined()) return;
  const bool fits = std::any_of(shapes.begin(), shapes.end(),
                                [&](const auto& shape) { return mask.sizes() == shape; });
  std::string expected;
  for (const auto& shape : shapes) {
    expected += (expected.empty() ? "" : " or ") + c10::str(torch::IntArrayRef(shape));
  }
  TORCH_CHECK_VALUE(fits, "MultiheadAttention: expected ", name, " ", expected, ", got ",
                    mask.sizes());
  TORCH_CHECK_TYPE(mask.scalar_type() == torch::kBool || mask.is_floating_point(),
                   "MultiheadAttention: expected ", name, " of bool or floating point, got ",
                   mask.scalar_type());
}

}  // namespace

MultiheadAttentionImpl::MultiheadAttentionImpl(MultiheadAttentionOptions attention_options)
    : options(std::move(attention_options)) {
  MultiheadAttentionImpl::reset();
}

void MultiheadAttentionImpl::reset() {
  constexpr const char* kName = "MultiheadAttention";
  const int64_t embed_dim = options.embed_dim();
  const int64_t kdim = options.kdim().value_or(embed_dim);
  const int64_t vdim = options.vdim().value_or(embed_dim);
  detail::check_positive(kName, "embed_dim", embed_dim);
  detail::check_positive(kName, "num_heads", options.num_heads());
  detail::check_positive(kName, "kdim", kdim);
  detail::check_positive(kName, "vdim", vdim);
  detail::check_probability(kName, "dropout", options.dropout());
  TORCH_CHECK_VALUE(embed_dim % options.num_heads() == 0, kName,
                    ": expected an embed_dim divisible by num_heads ", options.num_heads(),
                    ", got ", embed_dim);
  const auto parameter = [this](const char* name, torch::IntArrayRef sizes) {
    return register_parameter(name, at::empty(sizes));
  };
  const bool packed = kdim == embed_dim && vdim == embed_dim;
  if (packed) {
    in_proj_weight = parameter("in_proj_weight", {3 * embed_dim, embed_dim});
  } else {
    q_proj_weight = parameter("q_proj_weight", {embed_dim, embed_dim});
    k_proj_weight = parameter("k_proj_weight", {embed_dim, kdim});
    v_proj_weight = parameter("v_proj_weight", {embed_dim, vdim});
  }
  if (options.bias()) in_proj_bias = parameter("in_proj_bias", {3 * embed_dim});
  if (options.add_bias_kv()) {
    bias_k = parameter("bias_k", {1, 1, embed_dim});
    bias_v = parameter("bias_v", {1, 1, embed_dim});
  }
  // In Python's order: out_proj draws its weights first.
  out_proj = register_module(
      "out_proj", nn::Linear(nn::LinearOptions(embed_dim, embed_dim).bias(options.bias())));
  for (const torch::Tensor& weight :
       {in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight}) {
    if (weight.defined()) nn::init::xavier_uniform_(weight);
  }
  if (options.bias()) {
    nn::init::zeros_(in_proj_bias);
    nn::init::zeros_(out_proj->bias);
  }
  if (options.add_bias_kv()) {
    nn::init::xavier_normal_(bias_k);
    nn::init::xavier_normal_(bias_v);
  }
}

bool MultiheadAttentionImpl::takes_one_operator(const torch::Tensor& query) const {
  if (is_training() || !options.batch_first() || options.num_heads() % 2 != 0 || query.dim() != 3 ||
      !in_proj_weight.defined() || !in_proj_bias.defined() || bias_k.defined() ||
      options.add_zero_attn() || at::autocast::is_autocast_enabled(at::kCUDA)) {
    return false;
  }
  const auto tensors = {query, in_proj_weight, in_proj_bias, out_proj->weight, out_proj->bias};
  return query.scalar_type() == in_proj_weight.scalar_type() &&
         query.scalar_type() == in_proj_bias.scalar_type() &&
         std::all_of(tensors.begin(), tensors.end(), [](const torch::Tensor& tensor) {
           const bool known = tensor.is_cpu() || tensor.is_cuda() || tensor.is_privateuseone();
           return known && !(at::GradMode::is_enabled() && tensor.requires_grad());
         });
}

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> MultiheadAttentionImpl::projected(
    const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value) const {
  const int64_t dim = options.embed_dim();
  // [..., n dim] -> n of [..., dim], each with memory of its own.
  const auto parts = [dim](const torch::Tensor& x, int64_t n) {
    return x.unflatten(-1, {n, dim}).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous();
  };
  const auto biases = [this](torch::IntArrayRef sizes) {
    return in_proj_bias.defined() ? in_proj_bias.split_with_sizes(sizes)
                                  : std::vector<torch::Tensor>(sizes.size());
  };
  if (!in_proj_weight.defined()) {
    const auto bias = biases({dim, dim, dim});
    return {at::linear(query, q_proj_weight, bias[0]), at::linear(key, k_proj_weight, bias[1]),
            at::linear(value, v_proj_weight, bias[2])};
  }
  if (key.is_same(value) && query.is_same(key)) {
    const torch::Tensor all = parts(at::linear(query, in_proj_weight, in_proj_bias), 3);
    return {all[0], all[1], all[2]};
  }
  if (key.is_same(value)) {
    const auto weight = in_proj_weight.split_with_sizes({dim, 2 * dim});
    const auto bias = biases({dim, 2 * dim});
    const torch::Tensor q = at::linear(query, weight[0], bias[0]);
    const torch::Tensor both = parts(at::linear(key, weight[1], bias[1]), 2);
    return {q, both[0], both[1]};
  }
  const auto weight = in_proj_weight.chunk(3);
  const auto bias = biases({dim, dim, dim});
  return {at::linear(query, weight[0], bias[0]), at::linear(key, weight[1], bias[1]),
          at::linear(value, weight[2], bias[2])};
}

void MultiheadAttentionImpl::check_inputs(const torch::Tensor& query, const torch::Tensor& key,
                                          const torch::Tensor& value,
                                          const torch::Tensor& key_padding_mask,
                                          const torch::Tensor& attn_mask) const {
  const int64_t sizes[] = {options.embed_dim(), options.kdim().value_or(options.embed_dim()),
                           options.vdim().value_or(options.embed_dim())};
  const torch::Tensor* const inputs[] = {&query, &key, &value};
  for (int i = 0; i < 3; ++i) {
    const torch::Tensor& x = *inputs[i];
    const char* const names[] = {"query", "key", "value"};
    TORCH_CHECK_VALUE(x.defined() && (x.dim() == 2 || x.dim() == 3) && x.dim() == query.dim() &&
                          x.size(-1) == sizes[i],
                      "MultiheadAttention: expected a ", names[i], " [.., ", sizes[i],
                      "] of 3 dimensions, or all of 2 without a batch, got ",
                      x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  }
  const bool is_batched = query.dim() == 3;
  const int64_t along = is_batched && options.batch_first() ? 1 : 0;
  const int64_t batch = is_batched ? query.size(1 - along) : 1;
  const int64_t length = query.size(along);
  const int64_t keys = key.size(along);
  TORCH_CHECK_VALUE(
      key.size(along) == value.size(along) &&
          (!is_batched || (key.size(1 - along) == batch && value.size(1 - along) == batch)),
      "MultiheadAttention: expected a value for each key and one batch size, got a "
      "query ",
      query.sizes(), ", a key ", key.sizes(), " and a value ", value.sizes());
  check_mask("a key_padding_mask", key_padding_mask,
             {is_batched ? std::vector{batch, keys} : std::vector{keys}});
  check_mask("an attn_mask", attn_mask,
             {{length, keys}, {batch * options.num_heads(), length, keys}});
}

std::tuple<torch::Tensor, torch::Tensor> MultiheadAttentionImpl::attended(
    const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
    torch::Tensor padding, bool need_weights, torch::Tensor mask, bool is_causal) const {
  const int64_t length = query.size(0);
  const int64_t batch = query.size(1);
  const int64_t heads = options.num_heads();
  const int64_t dim = options.embed_dim() / heads;
  // Then nobody looks at the mask.
  const bool causal = is_causal && !padding.defined() && !need_weights;
  if (causal) mask.reset();

  auto [q, k, v] = projected(query, key, value);
  if (bias_k.defined()) {
    k = at::cat({k, bias_k.repeat({1, batch, 1})});
    v = at::cat({v, bias_v.repeat({1, batch, 1})});
    mask = with_key(mask);
    padding = with_key(padding);
  }
  const auto by_head = [&](const torch::Tensor& x) {
    return x.view({x.size(0), batch * heads, dim}).transpose(0, 1);
  };
  q = by_head(q);
  k = by_head(k);
  v = by_head(v);
  if (options.add_zero_attn()) {
    const torch::Tensor zero = at::zeros({batch * heads, 1, dim}, k.options());
    k = at::cat({k, zero}, 1);
    v = at::cat({v, zero}, 1);
    mask = with_key(mask);
    padding = with_key(padding);
  }
  const int64_t keys = k.size(1);
  if (padding.defined()) {
    padding = padding.view({batch, 1, 1, keys})
                  .expand({-1, heads, -1, -1})
                  .reshape({batch * heads, 1, keys});
    mask = mask.defined() ? mask + padding : padding;
  }

  const double dropout = is_training() ? options.dropout() : 0;
  const auto project = [&](const torch::Tensor& x) {
    return at::linear(x.reshape({length * batch, heads * dim}), out_proj->weight, out_proj->bias)
        .view({length, batch, -1});
  };
  if (need_weights) {
    const torch::Tensor scaled = q * std::sqrt(1.0 / static_cast<double>(dim));
    const torch::Tensor keys_first = k.transpose(-2, -1);
    torch::Tensor weights =
        mask.defined() ? at::baddbmm(mask, scaled, keys_first) : at::bmm(scaled, keys_first);
    weights = weights.softmax(-1);
    if (dropout > 0) weights = at::dropout(weights, dropout, /*train=*/true);
    const torch::Tensor y = project(at::bmm(weights, v).transpose(0, 1));
    return {y, weights.view({batch, heads, length, keys})};
  }
  if (mask.defined()) {
    mask = mask.size(0) == 1 ? mask.unsqueeze(0) : mask.view({batch, heads, -1, keys});
  }
  const torch::Tensor y = at::scaled_dot_product_attention(
      q.view({batch, heads, length, dim}), k.view({batch, heads, keys, dim}),
      v.view({batch, heads, keys, dim}), mask.defined() ? std::optional(mask) : std::nullopt,
      dropout, causal);
  return {project(y.permute({2, 0, 1, 3})), torch::Tensor()};
}

std::tuple<torch::Tensor, torch::Tensor> MultiheadAttentionImpl::forward(
    const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
    const torch::Tensor& key_padding_mask, bool need_weights, const torch::Tensor& attn_mask,
    bool average_attn_weights, bool is_causal) {
  check_inputs(query, key, value, key_padding_mask, attn_mask);
  const bool is_batched = query.dim() == 3;
  const bool has_numbers = (attn_mask.defined() && attn_mask.is_floating_point()) ||
                           (key_padding_mask.defined() && key_padding_mask.is_floating_point());
  const torch::Tensor padding = added(key_padding_mask, query.scalar_type());
  const torch::Tensor mask = added(attn_mask, query.scalar_type());
  if (query.is_same(key) && key.is_same(value) && !has_numbers && takes_one_operator(query)) {
    const auto [both, type] = merged(mask, padding, query, options.num_heads());
    return at::_native_multi_head_attention(
        query, key, value, options.embed_dim(), options.num_heads(), in_proj_weight, in_proj_bias,
        out_proj->weight, out_proj->bias, both, need_weights, average_attn_weights, type);
  }
  TORCH_CHECK_VALUE(!is_causal || mask.defined(),
                    "MultiheadAttention: expected an attn_mask with is_causal, got none");

  // [L, N, E] from here on. One tensor stays one tensor, whose projections are one product; without
  // a batch Python makes three of it.
  torch::Tensor q = query;
  torch::Tensor k = key;
  torch::Tensor v = value;
  const auto change = [&](const auto& function) {
    const bool same_kv = key.is_same(value) && is_batched;
    const bool same_qk = query.is_same(key) && same_kv;
    q = function(q);
    k = same_qk ? q : function(k);
    v = same_kv ? k : function(v);
  };
  if (!is_batched) change([](const torch::Tensor& x) { return x.unsqueeze(1); });
  if (is_batched && options.batch_first()) {
    change([](const torch::Tensor& x) { return x.transpose(1, 0); });
  }
  auto [y, weights] = attended(
      q, k, v, is_batched || !padding.defined() ? padding : padding.unsqueeze(0), need_weights,
      mask.defined() && mask.dim() == 2 ? mask.unsqueeze(0) : mask, is_causal);
  if (weights.defined() && average_attn_weights) weights = weights.mean({1});
  if (!is_batched) {
    y = y.squeeze(1);
    if (weights.defined()) weights = weights.squeeze(0);
  } else if (options.batch_first()) {
    y = y.transpose(1, 0);
  }
  return {y, weights};
}

}  // namespace convkit

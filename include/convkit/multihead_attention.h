#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/linear.h>

#include <cstdint>
#include <optional>
#include <tuple>

namespace convkit {

/// Options of MultiheadAttention. kdim and vdim, the sizes of a key and of a value, are by default
/// embed_dim.
struct CONVKIT_API MultiheadAttentionOptions {
  MultiheadAttentionOptions(int64_t embed_dim, int64_t num_heads)
      : embed_dim_(embed_dim), num_heads_(num_heads) {}

  TORCH_ARG(int64_t, embed_dim);
  TORCH_ARG(int64_t, num_heads);
  TORCH_ARG(double, dropout) = 0;
  TORCH_ARG(bool, bias) = true;
  TORCH_ARG(bool, add_bias_kv) = false;
  TORCH_ARG(bool, add_zero_attn) = false;
  TORCH_ARG(std::optional<int64_t>, kdim) = std::nullopt;
  TORCH_ARG(std::optional<int64_t>, vdim) = std::nullopt;
  TORCH_ARG(bool, batch_first) = false;
};

/// y = out_proj(softmax(q k^T / sqrt(d) + mask) v) of each head, with q, k and v projected from the
/// query, the key and the value; d = embed_dim / num_heads. It gives y and the softmax: the mean of
/// the heads, with average_attn_weights = false each head's, without need_weights undefined.
///
/// A bool mask is true where nobody may look; numbers are added. `is_causal` says that attn_mask
/// hides what comes later, and spares looking at it.
///
/// As in Python one operator does it all where query, key and value are one tensor [N, L, embed_dim],
/// in eval mode without gradients, with batch_first, biases and an even number of heads. It rounds
/// otherwise than the operators of training.
///
/// Shape:   query [L, N, embed_dim], key [S, N, kdim], value [S, N, vdim], with batch_first
///          [N, L, embed_dim] and so on, each also without N; key_padding_mask [N, S]; attn_mask
///          [L, S] or [N num_heads, L, S] -> y as query, weights [N, L, S] or [N, num_heads, L, S]
/// Keys:    in_proj_weight, with kdim or vdim {q,k,v}_proj_weight; in_proj_bias; bias_k, bias_v;
///          out_proj.{weight,bias}
/// Throws:  c10::ValueError for sizes below 1, an embed_dim that num_heads does not divide, a
///          dropout outside of [0, 1], and for inputs and masks of other shapes.
/// Source:  torch.nn.MultiheadAttention; https://arxiv.org/abs/1706.03762
/// Differs: torch.backends.mha.set_fastpath_enabled is Python's alone.
class CONVKIT_API MultiheadAttentionImpl : public Cloneable<MultiheadAttentionImpl> {
 public:
  explicit MultiheadAttentionImpl(MultiheadAttentionOptions options);
  MultiheadAttentionImpl(int64_t embed_dim, int64_t num_heads)
      : MultiheadAttentionImpl(MultiheadAttentionOptions(embed_dim, num_heads)) {}

  void reset() override;
  std::tuple<torch::Tensor, torch::Tensor> forward(
      const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
      const torch::Tensor& key_padding_mask = {}, bool need_weights = true,
      const torch::Tensor& attn_mask = {}, bool average_attn_weights = true,
      bool is_causal = false);

  MultiheadAttentionOptions options;
  torch::Tensor in_proj_weight;
  torch::Tensor q_proj_weight;
  torch::Tensor k_proj_weight;
  torch::Tensor v_proj_weight;
  torch::Tensor in_proj_bias;
  torch::Tensor bias_k;
  torch::Tensor bias_v;
  torch::nn::Linear out_proj{nullptr};

 private:
  void check_inputs(const torch::Tensor& query, const torch::Tensor& key,
                    const torch::Tensor& value, const torch::Tensor& key_padding_mask,
                    const torch::Tensor& attn_mask) const;
  [[nodiscard]] bool takes_one_operator(const torch::Tensor& query) const;
  [[nodiscard]] std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> projected(
      const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value) const;
  [[nodiscard]] std::tuple<torch::Tensor, torch::Tensor> attended(
      const torch::Tensor& query, const torch::Tensor& key, const torch::Tensor& value,
      torch::Tensor padding, bool need_weights, torch::Tensor mask, bool is_causal) const;
};
CONVKIT_MODULE(MultiheadAttention);

}  // namespace convkit

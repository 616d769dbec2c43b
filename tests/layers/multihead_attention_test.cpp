#include <convkit/multihead_attention.h>

#include "support.h"

using namespace convkit;

namespace {

MultiheadAttentionOptions batch_first_options() {
  return MultiheadAttentionOptions(8, 2).batch_first(true);
}

}  // namespace

TEST_CASE("MultiheadAttention gives shapes and keys as in Python", "[attention][shape]") {
  torch::manual_seed(1);
  MultiheadAttention attention(batch_first_options());
  CHECK(support::keys(*attention) == std::vector<std::string>{"in_proj_weight", "in_proj_bias",
                                                              "out_proj.weight", "out_proj.bias"});
  MultiheadAttention other(MultiheadAttentionOptions(8, 4).kdim(3).vdim(5).add_bias_kv(true));
  CHECK(support::keys(*other) ==
        std::vector<std::string>{"q_proj_weight", "k_proj_weight", "v_proj_weight", "in_proj_bias",
                                 "bias_k", "bias_v", "out_proj.weight", "out_proj.bias"});
  const torch::Tensor query = torch::randn({6, 2, 8});
  const auto [y, weights] =
      other(query, torch::randn({4, 2, 3}), torch::randn({4, 2, 5}), torch::Tensor(),
            /*need_weights=*/true, torch::Tensor(), /*average_attn_weights=*/false);
  CHECK(y.sizes() == torch::IntArrayRef{6, 2, 8});
  CHECK(weights.sizes() == torch::IntArrayRef{2, 4, 6, 5});
  CHECK_FALSE(std::get<1>(attention(query, query, query, torch::Tensor(), false)).defined());
}

TEST_CASE("MultiheadAttention has a clone, types and modes as every module", "[attention][clone]") {
  torch::manual_seed(2);
  const torch::NoGradGuard no_grad;
  MultiheadAttention attention(batch_first_options().add_bias_kv(true).dropout(0.5));
  attention->eval();
  attention->in_proj_bias.set_requires_grad(false);
  const torch::Tensor x = torch::randn({2, 5, 8});
  const auto of = [&x](MultiheadAttentionImpl& module) {
    return std::get<0>(module.forward(x, x, x)).clone();
  };
  const torch::Tensor y = of(*attention);
  const auto copy = std::dynamic_pointer_cast<MultiheadAttentionImpl>(attention->clone());
  CHECK(torch::equal(of(*copy), y));
  CHECK_FALSE(copy->in_proj_bias.requires_grad());
  for (torch::Tensor& parameter : copy->parameters()) parameter.add_(1);
  CHECK_FALSE(torch::equal(of(*copy), y));
  CHECK(torch::equal(of(*attention), y));
  attention->train();
  CHECK_FALSE(torch::equal(of(*attention), of(*attention)));
  attention->to(torch::kDouble);
  attention->eval();
  const torch::Tensor wide = x.to(torch::kDouble);
  CHECK(
      torch::allclose(std::get<0>(attention(wide, wide, wide)), y.to(torch::kDouble), 1e-4, 1e-5));
}

TEST_CASE("MultiheadAttention looks at nothing that a mask hides", "[attention]") {
  torch::manual_seed(3);
  const torch::NoGradGuard no_grad;
  MultiheadAttention attention(batch_first_options());
  torch::Tensor x = torch::randn({1, 4, 8});
  const torch::Tensor later = torch::ones({4, 4}, torch::kBool).triu(1);
  for (const bool train : {false, true}) {
    attention->train(train);
    const auto first = [&] {
      return std::get<0>(attention(x, x, x, torch::Tensor(), false, later, true, true))
          .slice(1, 0, 3)
          .clone();
    };
    const torch::Tensor before = first();
    x.select(1, 3).add_(1);
    CHECK(torch::equal(first(), before));
  }
}

TEST_CASE("MultiheadAttention refuses impossible options and inputs", "[attention][errors]") {
  CHECK(support::error([] { MultiheadAttention(0, 1); }) ==
        "MultiheadAttention: expected embed_dim >= 1, got 0");
  CHECK(support::error([] { MultiheadAttention(8, 3); }) ==
        "MultiheadAttention: expected an embed_dim divisible by num_heads 3, got 8");
  CHECK(support::error([] { MultiheadAttention(batch_first_options().dropout(2)); }) ==
        "MultiheadAttention: expected 0 <= dropout <= 1, got 2");
  MultiheadAttention attention(batch_first_options());
  const torch::Tensor x = torch::ones({2, 5, 8});
  CHECK(
      support::error([&] { attention(x, x, x.slice(2, 1)); }) ==
      "MultiheadAttention: expected a value [.., 8] of 3 dimensions, or all of 2 without a batch, "
      "got [2, 5, 7]");
  CHECK(support::error([&] { attention(x, x, x.slice(1, 1)); }) ==
        "MultiheadAttention: expected a value for each key and one batch size, got a query [2, 5, "
        "8], a key [2, 5, 8] and a value [2, 4, 8]");
  CHECK(support::error([&] { attention(x, x, x, torch::ones({2, 4}, torch::kBool)); }) ==
        "MultiheadAttention: expected a key_padding_mask [2, 5], got [2, 4]");
  CHECK(support::error([&] {
          attention(x, x, x, torch::Tensor(), true, torch::ones({5, 5}, torch::kLong));
        }) == "MultiheadAttention: expected an attn_mask of bool or floating point, got Long");
  CHECK(support::error([&] {
          attention(x, x, x, torch::Tensor(), true, torch::Tensor(), true, true);
        }) == "MultiheadAttention: expected an attn_mask with is_causal, got none");
}

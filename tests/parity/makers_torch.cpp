#include <convkit/convkit.h>

#include "parity/makers.h"

/// Modules of torch.nn that LibTorch has not, or not as Python has them.
namespace parity {

using namespace convkit;
namespace nn = torch::nn;

namespace {

/// As in modules.py: a MultiheadAttention on one tensor, and what it gives in one tensor.
struct AttentionOfOneImpl : Block<AttentionOfOneImpl> {
  explicit AttentionOfOneImpl(const Case& test) : given(test) {
    MultiheadAttentionOptions chosen(given.option("embed_dim"), given.option("num_heads"));
    if (given.has_option("dropout")) chosen.dropout(given.real("dropout"));
    if (given.has_option("bias")) chosen.bias(given.boolean("bias"));
    if (given.has_option("add_bias_kv")) chosen.add_bias_kv(given.boolean("add_bias_kv"));
    if (given.has_option("add_zero_attn")) chosen.add_zero_attn(given.boolean("add_zero_attn"));
    if (given.has_option("kdim")) chosen.kdim(given.option("kdim"));
    if (given.has_option("vdim")) chosen.vdim(given.option("vdim"));
    chosen.batch_first(given.boolean("batch_first"));
    attn = register_module("attn", MultiheadAttention(chosen));
  }
  void reset() override {}

  bool flag(const char* name, bool otherwise) const {
    return given.has_option(name) ? given.boolean(name) : otherwise;
  }

  torch::Tensor mask(int64_t batch, int64_t length, int64_t keys, const torch::Tensor& x) const {
    if (!given.has_option("mask")) return {};
    const std::string kind = given.word("mask");
    torch::Tensor later = torch::ones({length, keys}, torch::kBool).triu(1);
    if (!kind.starts_with("bool")) later = later.to(x.scalar_type()) / -2;
    if (!kind.ends_with("3d")) return later;
    return later.expand({batch * given.option("num_heads"), -1, -1}).contiguous();
  }

  torch::Tensor padding(int64_t batch, int64_t keys, const torch::Tensor& x) const {
    if (!given.has_option("padding")) return {};
    torch::Tensor last = torch::zeros({batch, keys}, torch::kBool);
    last.slice(1, -1).fill_(true);
    if (x.dim() == 2) last = last[0];
    return given.word("padding") == "bool" ? last : last.to(x.scalar_type()) / -3;
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    const std::string from = given.has_option("given") ? given.word("given") : "self";
    const auto& options = attn->options;
    torch::Tensor key = x;
    if (from != "self") {
      key = x.slice(-1, 0, options.kdim().value_or(options.embed_dim())) * 2;
    }
    torch::Tensor value = key;
    if (from == "three") {
      value = x.slice(-1, 0, options.vdim().value_or(options.embed_dim())) + 1;
    }
    const int64_t along = options.batch_first() && x.dim() == 3 ? 1 : 0;
    const int64_t batch = x.dim() == 3 ? x.size(1 - along) : 1;
    const at::AutoGradMode mode(at::GradMode::is_enabled() || flag("grad", false));
    const auto [y, weights] =
        attn(x, key, value, padding(batch, key.size(along), x), flag("need_weights", true),
             mask(batch, x.size(along), key.size(along), x), flag("average_attn_weights", true),
             flag("is_causal", false));
    return weights.defined() ? torch::cat({y.flatten(), weights.flatten()}) : y.flatten();
  }

  Case given;
  MultiheadAttention attn{nullptr};
};
CONVKIT_MODULE(AttentionOfOne);

std::shared_ptr<nn::Module> layer(const std::string& name) {
  if (name == "Conv1d") return nn::Conv1d(nn::Conv1dOptions(4, 6, 3).stride(2).padding(1)).ptr();
  if (name == "Conv2d") {
    return nn::Conv2d(nn::Conv2dOptions(4, 6, 3).padding(1).padding_mode(torch::kReflect)).ptr();
  }
  if (name == "Conv2d grouped") {
    return nn::Conv2d(nn::Conv2dOptions(4, 6, 3).groups(2).bias(false)).ptr();
  }
  if (name == "Conv3d") return nn::Conv3d(nn::Conv3dOptions(4, 6, {1, 2, 3})).ptr();
  if (name == "ConvTranspose1d") {
    return nn::ConvTranspose1d(nn::ConvTranspose1dOptions(4, 6, 4).stride(2).padding(1)).ptr();
  }
  if (name == "ConvTranspose2d") {
    return nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 6, 3).stride(2).output_padding(1))
        .ptr();
  }
  if (name == "ConvTranspose3d") {
    return nn::ConvTranspose3d(nn::ConvTranspose3dOptions(4, 6, 2)).ptr();
  }
  REQUIRE(name == "Linear");
  return nn::Linear(4, 6).ptr();
}

std::shared_ptr<nn::Module> upsample(const Case& given) {
  static const std::map<std::string, UpsampleOptions::mode_t> modes = {
      {"nearest", torch::kNearest},     {"nearest-exact", torch::kNearestExact},
      {"linear", torch::kLinear},       {"bilinear", torch::kBilinear},
      {"bicubic", torch::kBicubic},     {"area", torch::kArea},
      {"trilinear", torch::kTrilinear},
  };
  UpsampleOptions options;
  options.mode(modes.at(given.word("mode")));
  if (given.has_option("size")) options.size(given.numbers<int64_t>("size"));
  if (given.has_option("scale_factor")) {
    options.scale_factor(given.numbers<double>("scale_factor"));
  }
  if (given.has_option("align_corners")) options.align_corners(given.boolean("align_corners"));
  options.recompute_scale_factor(given.has_option("recompute_scale_factor"));
  return Upsample(options).ptr();
}

std::shared_ptr<nn::Module> weight_norm(const Case& given) {
  WeightNormOptions options;
  options.legacy(given.word("kind").starts_with("old"));
  if (given.has_option("dim")) options.dim(given.optional("dim"));
  return WeightNorm(layer(given.word("layer")), options).ptr();
}

std::shared_ptr<nn::Module> spectral_norm(const Case& given) {
  SpectralNormOptions options;
  options.legacy(given.word("kind").starts_with("old"));
  if (given.has_option("dim")) options.dim(given.option("dim"));
  if (given.has_option("power_iterations")) {
    options.n_power_iterations(given.option("power_iterations"));
  }
  return SpectralNorm(layer(given.word("layer")), options).ptr();
}

}  // namespace

std::map<std::string, Maker> torch_makers() {
  return {
      {"MultiheadAttention", [](const Case& given) { return AttentionOfOne(given).ptr(); }},
      {"Upsample", upsample},
      {"WeightNorm", weight_norm},
      {"SpectralNorm", spectral_norm},
  };
}

}  // namespace parity

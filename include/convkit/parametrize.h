#pragma once

#include <convkit/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

/// Layers whose weight is computed of others before each call. They take one of torch::nn's
/// convolutions, transposed convolutions, or its Linear, and are that layer from then on:
///
///     auto conv = convkit::WeightNorm(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3)));
///     auto linear = convkit::SpectralNorm(torch::nn::Linear(8, 4));
namespace convkit {

namespace detail {
class WeightedLayer;
}  // namespace detail

/// Options of WeightNorm.
struct CONVKIT_API WeightNormOptions {
  /// Along which dimension each part of the weight has a norm of its own; std::nullopt, Python's
  /// None, for one norm of the whole weight.
  TORCH_ARG(std::optional<int64_t>, dim) = 0;
  /// The keys weight_g and weight_v of Python's older torch.nn.utils.weight_norm.
  TORCH_ARG(bool, legacy) = false;
};

/// y = layer(x) with the weight g v / |v|: its norm and its direction are two parameters.
///
/// Shape:   those of the layer
/// Keys:    bias, parametrizations.weight.{original0,original1}: g and v, or with legacy bias,
///          weight_g, weight_v. As in Python it loads the older keys too.
/// Throws:  c10::TypeError for another layer; c10::ValueError for a dim that the weight has not.
/// Source:  torch.nn.utils.parametrizations.weight_norm, torch.nn.utils.weight_norm;
///          https://arxiv.org/abs/1602.07868
class CONVKIT_API WeightNormImpl : public Block<WeightNormImpl> {
 public:
  explicit WeightNormImpl(const std::shared_ptr<torch::nn::Module>& layer,
                          WeightNormOptions options = {});
  template <typename Impl>
  explicit WeightNormImpl(const torch::nn::ModuleHolder<Impl>& layer,
                          WeightNormOptions options = {})
      : WeightNormImpl(std::shared_ptr<torch::nn::Module>(layer.ptr()), options) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  [[nodiscard]] std::string current_key(const std::string& key) const override;
  void pretty_print(std::ostream& stream) const override;

  /// The weight of the next call.
  [[nodiscard]] torch::Tensor weight() const;

  WeightNormOptions options;
  torch::Tensor bias;
  torch::Tensor g;
  torch::Tensor v;

 private:
  std::shared_ptr<const detail::WeightedLayer> layer_;
};
CONVKIT_MODULE(WeightNorm);

/// Options of SpectralNorm.
struct CONVKIT_API SpectralNormOptions {
  TORCH_ARG(int64_t, n_power_iterations) = 1;
  TORCH_ARG(double, eps) = 1e-12;
  /// The dimension of the outputs: by default 1 of a transposed convolution, and 0 of others.
  TORCH_ARG(std::optional<int64_t>, dim) = std::nullopt;
  /// Python's older torch.nn.utils.spectral_norm: it has the keys weight_orig, weight_u and
  /// weight_v, starts from random vectors, and renews v before u.
  TORCH_ARG(bool, legacy) = false;
};

/// y = layer(x) with the weight W / (u^T W v), whose largest singular value is about 1. In training
/// each call first brings u and v nearer to the singular vectors, u = W v / |W v|,
/// v = W^T u / |W^T u|; W is the original weight as a matrix of one row for each output.
///
/// Shape:   those of the layer
/// Keys:    bias, parametrizations.weight.original, parametrizations.weight.0.{_u,_v}; with legacy
///          bias, weight_orig, weight_u, weight_v
/// Throws:  c10::TypeError for another layer; c10::ValueError for a dim that the weight has not,
///          n_power_iterations below 1, or a negative eps.
/// Source:  torch.nn.utils.parametrizations.spectral_norm, torch.nn.utils.spectral_norm;
///          https://arxiv.org/abs/1802.05957
class CONVKIT_API SpectralNormImpl : public Block<SpectralNormImpl> {
 public:
  explicit SpectralNormImpl(const std::shared_ptr<torch::nn::Module>& layer,
                            SpectralNormOptions options = {});
  template <typename Impl>
  explicit SpectralNormImpl(const torch::nn::ModuleHolder<Impl>& layer,
                            SpectralNormOptions options = {})
      : SpectralNormImpl(std::shared_ptr<torch::nn::Module>(layer.ptr()), options) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  /// The weight of the next call in eval mode.
  [[nodiscard]] torch::Tensor weight() const;

  SpectralNormOptions options;
  torch::Tensor bias;
  torch::Tensor original;
  torch::Tensor u;
  torch::Tensor v;

 private:
  [[nodiscard]] torch::Tensor matrix() const;
  void iterate(int64_t count);

  std::shared_ptr<const detail::WeightedLayer> layer_;
  int64_t dim_ = 0;
};
CONVKIT_MODULE(SpectralNorm);

}  // namespace convkit

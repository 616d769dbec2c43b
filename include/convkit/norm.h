#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>

#include <cstdint>
#include <memory>
#include <string>

namespace convkit {

/// Layer normalisation over the channels of each pixel; not GroupNorm with one group, which is over
/// the whole image.
///
/// Shape:   x [N, channels, H, W] -> y [N, channels, H, W]
/// Keys:    weight, bias
/// Throws:  c10::ValueError for channels below 1, eps below 0, and for an input that is not [N,
///          channels, H, W] of the weights' type and device.
/// Source:  torchvision.models.convnext.LayerNorm2d
class CONVKIT_API LayerNorm2dImpl : public Block<LayerNorm2dImpl> {
 public:
  explicit LayerNorm2dImpl(int64_t channels, double eps = 1e-5);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t channels;
  double eps;
  torch::Tensor weight;
  torch::Tensor bias;
};
CONVKIT_MODULE(LayerNorm2d);

/// y = x scale + (bias - running_mean scale), scale = weight / sqrt(running_var + eps): a batch
/// norm that learns nothing. It is not bit-equal to BatchNorm2d in eval mode, nor is Python's.
///
/// Shape:   x [N, num_features, H, W] -> y [N, num_features, H, W]
/// Keys:    weight, bias, running_mean, running_var, all buffers; load_state_dict() drops
///          num_batches_tracked
/// Throws:  c10::ValueError for num_features below 1, eps below 0, and for an input that is not [N,
///          num_features, H, W] of the weights' type and device.
/// Source:  torchvision.ops.FrozenBatchNorm2d
class CONVKIT_API FrozenBatchNorm2dImpl : public Block<FrozenBatchNorm2dImpl> {
 public:
  explicit FrozenBatchNorm2dImpl(int64_t num_features, double eps = 1e-5);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  /// Nothing for num_batches_tracked, which the batch norm that it stands for has.
  [[nodiscard]] std::string current_key(const std::string& key) const override;

  int64_t num_features;
  double eps;
  torch::Tensor weight;
  torch::Tensor bias;
  torch::Tensor running_mean;
  torch::Tensor running_var;
};
CONVKIT_MODULE(FrozenBatchNorm2d);

/// y = x + bias + weight x g / (mean(g) + eps), g the L2 norm of each channel.
///
/// Shape:   x [N, dim, H, W] -> y [N, dim, H, W]; with channels_last x is [N, H, W, dim]
/// Keys:    weight, bias, zero at first
/// Throws:  c10::ValueError for dim below 1, eps below 0, and for an input of another shape, type
///          or device.
/// Source:  timm.layers.GlobalResponseNorm; https://arxiv.org/abs/2301.00808
class CONVKIT_API GlobalResponseNormImpl : public Block<GlobalResponseNormImpl> {
 public:
  explicit GlobalResponseNormImpl(int64_t dim, double eps = 1e-6, bool channels_last = true);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t dim;
  double eps;
  bool channels_last;
  torch::Tensor weight;
  torch::Tensor bias;
};
CONVKIT_MODULE(GlobalResponseNorm);

/// Options of BatchNormAct2d.
struct CONVKIT_API BatchNormAct2dOptions {
  explicit BatchNormAct2dOptions(int64_t num_features) : num_features_(num_features) {}

  TORCH_ARG(int64_t, num_features);
  TORCH_ARG(double, eps) = 1e-5;
  TORCH_ARG(double, momentum) = 0.1;
  TORCH_ARG(bool, apply_act) = true;
  TORCH_ARG(Activation, act_layer) = Activation { Activation::kReLU };
  /// Whether the activation overwrites its input, if it has a form that does.
  TORCH_ARG(bool, inplace) = true;
};

/// y = act(batch norm of x): one module, with the keys that a BatchNorm2d has.
///
/// Shape:   x [N, num_features, H, W] -> y [N, num_features, H, W]
/// Keys:    weight, bias, running_mean, running_var, num_batches_tracked; act.weight of a PReLU
/// Throws:  c10::ValueError for num_features below 1, eps below 0, and for an input that is not [N,
///          num_features, H, W] of the weights' type and device.
/// Source:  timm.layers.BatchNormAct2d
/// Differs: it always has weights and statistics, its momentum is a number, and it has no drop_layer.
class CONVKIT_API BatchNormAct2dImpl : public Block<BatchNormAct2dImpl> {
 public:
  explicit BatchNormAct2dImpl(BatchNormAct2dOptions options);
  explicit BatchNormAct2dImpl(int64_t num_features)
      : BatchNormAct2dImpl(BatchNormAct2dOptions(num_features)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  BatchNormAct2dOptions options;
  torch::Tensor weight;
  torch::Tensor bias;
  torch::Tensor running_mean;
  torch::Tensor running_var;
  torch::Tensor num_batches_tracked;
  std::shared_ptr<torch::nn::Module> act;  ///< null without one
};
CONVKIT_MODULE(BatchNormAct2d);

/// The normalisation that a block wants: `{.kind = Norm::kGroupNorm, .groups = 8}`.
struct Norm {
  /// Each stands for the module of its name.
  enum Kind : int {
    kNone,
    kBatchNorm2d,
    kGroupNorm,
    kInstanceNorm2d,
    kLayerNorm2d,
    kFrozenBatchNorm2d,
    kLayerNorm,  ///< of the last dimension
    kBatchNorm1d,
    kBatchNorm3d,
    kInstanceNorm3d,
  };
  Kind kind = kBatchNorm2d;
  double eps = 1e-5;      ///< of every kind
  double momentum = 0.1;  ///< of batch norms
  int64_t groups = 32;    ///< of GroupNorm
};

/// The module of a normalisation over so many channels; null for kNone.
///
/// Throws:  c10::ValueError for channels or groups below 1, channels not divisible by groups, or
///          eps below 0, for which torch's GroupNorm and InstanceNorms give NaN.
/// Source:  torch.nn, torchvision; with their defaults
CONVKIT_API std::shared_ptr<torch::nn::Module> make_norm(const Norm& norm, int64_t channels);

}  // namespace convkit

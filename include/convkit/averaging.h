#pragma once

#include <convkit/module.h>

#include <torch/nn/module.h>
#include <torch/types.h>

#include <functional>
#include <memory>
#include <optional>

/// Averages of the weights of a training, which often generalise better than the last ones.
///
///     convkit::optim::AveragedModel average(*net, {.ema_decay = 0.999});
///     for (const auto& [x, y] : batches) {
///       optimizer.zero_grad();
///       loss(net(x), y).backward();
///       optimizer.step();
///       average.update_parameters(*net);
///     }
namespace convkit::optim {

/// Options of AveragedModel.
struct AveragedModelOptions {
  /// The weight of the past in an exponential moving average, from 0 to 1; without it, all updates
  /// count alike (stochastic weight averaging).
  std::optional<double> ema_decay = {};
  bool use_buffers = false;  ///< averages buffers too, which are else copied
};

/// A copy of a model, with the average of its weights.
///
/// Keys:    n_averaged  module.*
/// Throws:  c10::ValueError for an ema_decay outside of [0, 1]; c10::Error for a model that cannot be
///          cloned
/// Source:  torch.optim.swa_utils.AveragedModel, with get_ema_multi_avg_fn(decay) for ema_decay
class CONVKIT_API AveragedModel : public torch::nn::Module {
 public:
  explicit AveragedModel(const torch::nn::Module& model, AveragedModelOptions options = {});

  /// Takes the weights of a model of the same parameters and buffers into the average: all of the
  /// first one.
  ///
  /// Throws:  c10::ValueError for other parameters or buffers, before anything is changed
  void update_parameters(const torch::nn::Module& model);

  /// What the averaged model gives, where it maps one tensor to one as convkit's modules do.
  torch::Tensor forward(const torch::Tensor& x);

  std::shared_ptr<torch::nn::Module> module;
  torch::Tensor n_averaged;

 private:
  void average(const torch::Tensor& averaged, const torch::Tensor& current) const;

  AveragedModelOptions options_;
};

/// Computes the statistics of a model's batch norms anew: `run` passes it the training's images, in
/// train mode, and every batch counts alike.
///
///     update_bn(average, [&] {
///       for (const auto& [x, y] : batches) average.forward(x);
///     });
///
/// Throws:  c10::Error for a BatchNormAct2d in the model, and what `run` throws; momenta and mode are
///          then as they were
/// Source:  torch.optim.swa_utils.update_bn
CONVKIT_API void update_bn(torch::nn::Module& model, const std::function<void()>& run);

}  // namespace convkit::optim

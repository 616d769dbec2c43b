#pragma once

#include <convkit/module.h>

#include <torch/nn/options/batchnorm.h>
#include <torch/types.h>

#include <cstdint>

namespace convkit {

/// The batch norm of networks that several processes have trained on GPUs, with the statistics of
/// all. convkit's processes train on CPUs, and there it is refused, as in Python; anywhere else it
/// is y = weight (x - mean) / sqrt(var + eps) + bias, a batch norm over every dimension but the second.
///
/// Shape:   x [N, num_features, ...] -> y of the same shape
/// Keys:    those of BatchNorm2d: weight, bias, running_mean, running_var, num_batches_tracked
/// Throws:  c10::ValueError for num_features below 1, eps below 0, and for an input of another shape,
///          type or device; c10::Error for a forward in training mode in a program that has joined a
///          group of processes.
/// Source:  torch.nn.SyncBatchNorm
/// Differs: no process_group, and no convert_sync_batchnorm: members of C++ have one type.
class CONVKIT_API SyncBatchNormImpl : public Block<SyncBatchNormImpl> {
 public:
  explicit SyncBatchNormImpl(torch::nn::BatchNormOptions options);
  explicit SyncBatchNormImpl(int64_t num_features)
      : SyncBatchNormImpl(torch::nn::BatchNormOptions(num_features)) {}

  void reset() override;
  /// Sets the running statistics to those of a new module: mean 0, variance 1, no batches.
  void reset_running_stats();
  torch::Tensor forward(const torch::Tensor& x) override;

  torch::nn::BatchNormOptions options;
  torch::Tensor weight;  ///< undefined without affine, as bias is
  torch::Tensor bias;
  torch::Tensor running_mean;  ///< undefined without track_running_stats, as the next two are
  torch::Tensor running_var;
  torch::Tensor num_batches_tracked;
};
CONVKIT_MODULE(SyncBatchNorm);

}  // namespace convkit

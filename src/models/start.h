#pragma once

#include <convkit/module.h>
#include <convkit/norm.h>

#include <torch/nn/module.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <functional>

/// How torchvision's networks draw their first weights, layers that most of them have, and the options that all networks check.
namespace convkit::models::detail {

/// Draws Kaiming-normal filters by fan_out for each convolution, and sets the biases to 0.
void start_convolutions(const torch::nn::Module& network);

/// Calls `start` for each linear layer, which draws its weight, and sets the biases to 0.
void start_linears(const torch::nn::Module& network,
                   const std::function<void(torch::nn::LinearImpl&)>& start);

/// Draws the weights of convolutions and linear layers from the normal distribution of deviation
/// `std(layer)`, cut at 2; their biases stay as they are.
void start_truncated(const torch::nn::Module& network,
                     const std::function<double(const torch::nn::Module& layer)>& std);

/// A ReLU that overwrites its input, and a 1x1 convolution without a bias, as most networks have them.
torch::nn::ReLU relu();
torch::nn::Conv2d conv1x1(int64_t in_channels, int64_t out_channels);

/// The mean of each channel, as a vector: timm's SelectAdaptivePool2d.
Sequential mean_pool();

/// These throw c10::ValueError for what no network or block can be made of.
void check_num_classes(const char* network, int64_t num_classes);
void check_multiplier(const char* network, const char* option, double value);
void check_stride(const char* block, int64_t stride);
void check_norm_layer(const char* module, const Norm& norm_layer);

}  // namespace convkit::models::detail

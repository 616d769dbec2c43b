#pragma once

#include <convkit/norm.h>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>

#include <functional>

/// How torchvision's networks draw their first weights.
namespace convkit::models::detail {

/// Kaiming-normal filters by fan_out for each convolution, with biases of 0.
void start_convolutions(const torch::nn::Module& network);

/// `start` for the weight of each linear layer, and biases of 0.
void start_linears(const torch::nn::Module& network,
                   const std::function<void(torch::nn::LinearImpl&)>& start);

/// Throw c10::ValueError for what no network or block can be made of.
void check_num_classes(const char* network, int64_t num_classes);
void check_multiplier(const char* network, const char* option, double value);
void check_stride(const char* block, int64_t stride);
void check_norm_layer(const char* module, const Norm& norm_layer);

}  // namespace convkit::models::detail

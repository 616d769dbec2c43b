// segmenter.py:Segmenter in C++, by convkit.port with torch 2.13.0+cpu.
#pragma once

#include <convkit/module.h>

#include <torch/nn/functional/upsampling.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace segmenter {

namespace nn = torch::nn;

/// segmenter.Residual.
///
/// Shape:   [2, 16, 16, 24] -> [2, 16, 16, 24], for example
/// Keys:    conv1.weight bn1.* conv2.*
/// Source:  segmenter.py, line 8
struct ResidualImpl : convkit::Block<ResidualImpl> {
  explicit ResidualImpl(int64_t dilation = 1) : dilation(dilation) { ResidualImpl::reset(); }

  void reset() override {
    conv1 = register_module(
        "conv1",
        nn::Conv2d(nn::Conv2dOptions(16, 16, 3).padding(dilation).dilation(dilation).bias(false)));
    bn1 = register_module("bn1", nn::BatchNorm2d(16));
    conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(16, 16, 3).padding(1)));
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = torch::relu(bn1(conv1(x)));
    return torch::relu(x + conv2(y));
  }

  int64_t dilation;
  nn::Conv2d conv1{nullptr};
  nn::BatchNorm2d bn1{nullptr};
  nn::Conv2d conv2{nullptr};
};
CONVKIT_MODULE(Residual);

/// segmenter.Segmenter.
///
/// Shape:   [2, 3, 32, 48] -> [2, 4, 32, 48], for example
/// Keys:    stem.* blocks.* head.*
/// Source:  segmenter.py, line 20
struct SegmenterImpl : convkit::Block<SegmenterImpl> {
  SegmenterImpl() { SegmenterImpl::reset(); }

  void reset() override {
    stem = register_module("stem", nn::Conv2d(nn::Conv2dOptions(3, 16, 3).stride(2).padding(1)));
    blocks = register_module("blocks", nn::ModuleList{Residual(), Residual(2), Residual(4)});
    head = register_module("head", nn::Conv2d(32, 4, 1));
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = stem(x);
    for (const auto& block : *blocks) y = convkit::forward_child(*block, y);
    const torch::Tensor context = y.mean({2, 3}, true).expand_as(y);
    const torch::Tensor scores = head(torch::cat({y, context}, 1));
    return nn::functional::interpolate(scores,
                                       nn::functional::InterpolateFuncOptions()
                                           .size(std::vector<int64_t>({x.size(2), x.size(3)}))
                                           .mode(torch::kBilinear)
                                           .align_corners(false));
  }

  nn::Conv2d stem{nullptr};
  nn::ModuleList blocks{nullptr};
  nn::Conv2d head{nullptr};
};
CONVKIT_MODULE(Segmenter);

}  // namespace segmenter

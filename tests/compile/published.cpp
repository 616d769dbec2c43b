#include "compile/published.h"

#include <torch/nn/functional/padding.h>

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <utility>

namespace published {
namespace {

namespace F = torch::nn::functional;
using torch::Tensor;
using torch::nn::BatchNorm2d;
using torch::nn::BatchNorm2dOptions;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;
using torch::nn::Linear;
using torch::nn::MaxPool2d;
using torch::nn::MaxPool2dOptions;
using torch::nn::PReLU;
using torch::nn::PReLUOptions;
using torch::nn::Softmax;

PReLU prelu(int64_t channels) {
  return PReLU(PReLUOptions().num_parameters(channels));
}

MaxPool2d pool(int64_t kernel_size) {
  return MaxPool2d(MaxPool2dOptions(kernel_size).stride(2).ceil_mode(true));
}

/// The weights of the linear layers expect W, H, C.
Tensor flattened(const Tensor& x) {
  return x.permute({0, 3, 2, 1}).contiguous().view({x.size(0), -1});
}

template <typename Holder>
Network network_of(Holder module) {
  module->eval();
  return {module.ptr(), [module](const Tensors& inputs) mutable { return module(inputs.at(0)); }};
}

Network network_of(Crepe module) {
  module->eval();
  return {module.ptr(),
          [module](const Tensors& inputs) mutable { return Tensors{module(inputs.at(0))}; }};
}

}  // namespace

void PNetImpl::reset() {
  conv1 = register_module("conv1", Conv2d(Conv2dOptions(3, 10, 3)));
  prelu1 = register_module("prelu1", prelu(10));
  pool1 = register_module("pool1", pool(2));
  conv2 = register_module("conv2", Conv2d(Conv2dOptions(10, 16, 3)));
  prelu2 = register_module("prelu2", prelu(16));
  conv3 = register_module("conv3", Conv2d(Conv2dOptions(16, 32, 3)));
  prelu3 = register_module("prelu3", prelu(32));
  conv4_1 = register_module("conv4_1", Conv2d(Conv2dOptions(32, 2, 1)));
  softmax4_1 = register_module("softmax4_1", Softmax(1));
  conv4_2 = register_module("conv4_2", Conv2d(Conv2dOptions(32, 4, 1)));
}

Tensors PNetImpl::forward(const Tensor& x) {
  Tensor y = pool1(prelu1(conv1(x)));
  y = prelu3(conv3(prelu2(conv2(y))));
  const Tensor face = softmax4_1(conv4_1(y));
  return {conv4_2(y), face};
}

void RNetImpl::reset() {
  conv1 = register_module("conv1", Conv2d(Conv2dOptions(3, 28, 3)));
  prelu1 = register_module("prelu1", prelu(28));
  pool1 = register_module("pool1", pool(3));
  conv2 = register_module("conv2", Conv2d(Conv2dOptions(28, 48, 3)));
  prelu2 = register_module("prelu2", prelu(48));
  pool2 = register_module("pool2", pool(3));
  conv3 = register_module("conv3", Conv2d(Conv2dOptions(48, 64, 2)));
  prelu3 = register_module("prelu3", prelu(64));
  dense4 = register_module("dense4", Linear(576, 128));
  prelu4 = register_module("prelu4", prelu(128));
  dense5_1 = register_module("dense5_1", Linear(128, 2));
  softmax5_1 = register_module("softmax5_1", Softmax(1));
  dense5_2 = register_module("dense5_2", Linear(128, 4));
}

Tensors RNetImpl::forward(const Tensor& x) {
  Tensor y = pool1(prelu1(conv1(x)));
  y = pool2(prelu2(conv2(y)));
  y = prelu3(conv3(y));
  y = prelu4(dense4(flattened(y)));
  const Tensor face = softmax5_1(dense5_1(y));
  return {dense5_2(y), face};
}

void ONetImpl::reset() {
  conv1 = register_module("conv1", Conv2d(Conv2dOptions(3, 32, 3)));
  prelu1 = register_module("prelu1", prelu(32));
  pool1 = register_module("pool1", pool(3));
  conv2 = register_module("conv2", Conv2d(Conv2dOptions(32, 64, 3)));
  prelu2 = register_module("prelu2", prelu(64));
  pool2 = register_module("pool2", pool(3));
  conv3 = register_module("conv3", Conv2d(Conv2dOptions(64, 64, 3)));
  prelu3 = register_module("prelu3", prelu(64));
  pool3 = register_module("pool3", pool(2));
  conv4 = register_module("conv4", Conv2d(Conv2dOptions(64, 128, 2)));
  prelu4 = register_module("prelu4", prelu(128));
  dense5 = register_module("dense5", Linear(1152, 256));
  prelu5 = register_module("prelu5", prelu(256));
  dense6_1 = register_module("dense6_1", Linear(256, 2));
  softmax6_1 = register_module("softmax6_1", Softmax(1));
  dense6_2 = register_module("dense6_2", Linear(256, 4));
  dense6_3 = register_module("dense6_3", Linear(256, 10));
}

Tensors ONetImpl::forward(const Tensor& x) {
  Tensor y = pool1(prelu1(conv1(x)));
  y = pool2(prelu2(conv2(y)));
  y = pool3(prelu3(conv3(y)));
  y = prelu4(conv4(y));
  y = prelu5(dense5(flattened(y)));
  const Tensor face = softmax6_1(dense6_1(y));
  const Tensor box = dense6_2(y);
  return {box, dense6_3(y), face};
}

CrepeImpl::CrepeImpl(std::string model)
    : model(std::move(model)),
      conv{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr},
      norm{nullptr, nullptr, nullptr, nullptr, nullptr, nullptr} {
  CrepeImpl::reset();
}

void CrepeImpl::reset() {
  const bool is_full = model == "full";
  TORCH_CHECK_VALUE(is_full || model == "tiny", "Crepe: expected model full or tiny, got ", model);
  const auto channels = is_full ? std::array<int64_t, 7>{1, 1024, 128, 128, 128, 256, 512}
                                : std::array<int64_t, 7>{1, 128, 16, 16, 16, 32, 64};
  in_features = 4 * channels.back();
  for (std::size_t i = 0; i < kLayers; ++i) {
    const std::string name = c10::str("conv", i + 1);
    auto options = Conv2dOptions(channels.at(i), channels.at(i + 1), {i == 0 ? 512 : 64, 1});
    options.stride({i == 0 ? 4 : 1, 1});
    conv.at(i) = register_module(name, Conv2d(options));
    // The converter from Keras made this of 1e-3 in float32.
    const auto norm_options = BatchNorm2dOptions(channels.at(i + 1)).eps(0.0010000000474974513);
    norm.at(i) =
        register_module(name + "_BN", BatchNorm2d(BatchNorm2dOptions(norm_options).momentum(0.0)));
  }
  classifier = register_module("classifier", Linear(in_features, kPitchBins));
}

Tensor CrepeImpl::forward(const Tensor& x) {
  Tensor y = x.unsqueeze(1).unsqueeze(3);
  for (std::size_t i = 0; i < kLayers; ++i) {
    const auto padding =
        i == 0 ? std::vector<int64_t>{0, 0, 254, 254} : std::vector<int64_t>{0, 0, 31, 32};
    y = norm.at(i)(torch::relu(conv.at(i)(F::pad(y, F::PadFuncOptions(padding)))));
    y = torch::max_pool2d(y, {2, 1}, {2, 1});
  }
  return torch::sigmoid(classifier(y.permute({0, 2, 1, 3}).reshape({-1, in_features})));
}

Network make(const std::string& name) {
  if (name == "pnet") return network_of(PNet());
  if (name == "rnet") return network_of(RNet());
  if (name == "onet") return network_of(ONet());
  if (name == "crepe_tiny") return network_of(Crepe("tiny"));
  TORCH_CHECK_VALUE(name == "crepe_full",
                    "published::make: expected pnet, rnet, onet, crepe_tiny or crepe_full, got ",
                    name);
  return network_of(Crepe("full"));
}

}  // namespace published

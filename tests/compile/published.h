#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Networks of others whose weights are published, as a user of convkit and torch::nn ports them.
namespace published {

using Tensors = std::vector<torch::Tensor>;

/// Where MTCNN looks for faces in a photograph.
///
/// Shape:   x [N, 3, H, W] -> [N, 4, H', W'] moves of the corners, [N, 2, H', W'] no face and face
/// Source:  facenet-pytorch 2.6.0, facenet_pytorch/models/mtcnn.py, PNet
struct PNetImpl : convkit::Cloneable<PNetImpl> {
  PNetImpl() { PNetImpl::reset(); }
  void reset() override;
  Tensors forward(const torch::Tensor& x);

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  torch::nn::Conv2d conv4_1{nullptr}, conv4_2{nullptr};
  torch::nn::PReLU prelu1{nullptr}, prelu2{nullptr}, prelu3{nullptr};
  torch::nn::MaxPool2d pool1{nullptr};
  torch::nn::Softmax softmax4_1{nullptr};
};
CONVKIT_MODULE(PNet);

/// What MTCNN asks of windows of 24 x 24 pixels.
///
/// Shape:   x [N, 3, 24, 24] -> [N, 4] moves of the corners, [N, 2] no face and face
/// Source:  facenet-pytorch 2.6.0, facenet_pytorch/models/mtcnn.py, RNet
struct RNetImpl : convkit::Cloneable<RNetImpl> {
  RNetImpl() { RNetImpl::reset(); }
  void reset() override;
  Tensors forward(const torch::Tensor& x);

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr};
  torch::nn::PReLU prelu1{nullptr}, prelu2{nullptr}, prelu3{nullptr}, prelu4{nullptr};
  torch::nn::MaxPool2d pool1{nullptr}, pool2{nullptr};
  torch::nn::Linear dense4{nullptr}, dense5_1{nullptr}, dense5_2{nullptr};
  torch::nn::Softmax softmax5_1{nullptr};
};
CONVKIT_MODULE(RNet);

/// What MTCNN asks of windows of 48 x 48 pixels.
///
/// Shape:   x [N, 3, 48, 48] -> [N, 4] moves of the corners, [N, 10] eyes, nose and mouth,
///          [N, 2] no face and face
/// Source:  facenet-pytorch 2.6.0, facenet_pytorch/models/mtcnn.py, ONet
struct ONetImpl : convkit::Cloneable<ONetImpl> {
  ONetImpl() { ONetImpl::reset(); }
  void reset() override;
  Tensors forward(const torch::Tensor& x);

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, conv3{nullptr}, conv4{nullptr};
  torch::nn::PReLU prelu1{nullptr}, prelu2{nullptr}, prelu3{nullptr}, prelu4{nullptr};
  torch::nn::PReLU prelu5{nullptr};
  torch::nn::MaxPool2d pool1{nullptr}, pool2{nullptr}, pool3{nullptr};
  torch::nn::Linear dense5{nullptr}, dense6_1{nullptr}, dense6_2{nullptr}, dense6_3{nullptr};
  torch::nn::Softmax softmax6_1{nullptr};
};
CONVKIT_MODULE(ONet);

/// The pitch of 64 ms of sound. Sound is an image one pixel wide.
///
/// Shape:   x [N, 1024] -> [N, 360], how likely each pitch is
/// Throws:  c10::ValueError for another model than "full" and "tiny".
/// Source:  torchcrepe 0.0.24, torchcrepe/model.py, Crepe
struct CrepeImpl : convkit::Block<CrepeImpl> {
  static constexpr int64_t kPitchBins = 360;
  static constexpr std::size_t kLayers = 6;

  explicit CrepeImpl(std::string model = "full");
  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  std::string model;
  int64_t in_features = 0;
  std::array<torch::nn::Conv2d, kLayers> conv;
  std::array<torch::nn::BatchNorm2d, kLayers> norm;
  torch::nn::Linear classifier{nullptr};
};
CONVKIT_MODULE(Crepe);

/// A network of any of these kinds, with one input.
struct Network {
  std::shared_ptr<torch::nn::Module> module;
  std::function<Tensors(const Tensors&)> forward;
};

/// "pnet", "rnet", "onet", "crepe_tiny" or "crepe_full", with fresh weights and in eval mode.
///
/// Throws:  c10::ValueError for another name.
Network make(const std::string& name);

}  // namespace published

#pragma once

#include <convkit/blocks.h>
#include <convkit/models/classifier.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include <array>
#include <cstdint>
#include <string>

/// torchvision's networks that say what a video shows.
namespace convkit::models::video {

/// Options of a VideoResNet.
struct VideoResNetOptions {
  int64_t num_classes = 400;
};

/// How a block convolves time and space.
enum class ConvKind {
  kConv3DSimple,      ///< 3x3x3
  kConv2Plus1D,       ///< 1x3x3, a norm and a ReLU, then 3x1x1
  kConv3DNoTemporal,  ///< 1x3x3, which keeps the time
};

/// y = relu(conv2(conv1(x)) + downsample(x)), two convolutions of one kind.
///
/// Shape:   x [N, inplanes, T, H, W] -> y [N, planes, T', ceil(H / stride), ceil(W / stride)], T' =
///          ceil(T / stride), of kConv3DNoTemporal T
/// Keys:    conv1.0.* conv1.1.* conv2.0.* conv2.1.* downsample.0.weight downsample.1.*
/// Throws:  c10::ValueError for planes or a stride below 1, and for an input that is not [N, inplanes,
///          T, H, W] of the weights' type and device.
/// Source:  torchvision.models.video.resnet.BasicBlock; https://arxiv.org/abs/1711.11248
/// Differs: downsample is there where the shape changes, and no module of your own.
class CONVKIT_API BasicBlockImpl : public Block<BasicBlockImpl> {
 public:
  BasicBlockImpl(int64_t inplanes, int64_t planes, ConvKind kind, int64_t stride = 1);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t inplanes;
  int64_t planes;
  ConvKind kind;
  int64_t stride;
  Sequential conv1{nullptr};
  Sequential conv2{nullptr};
  torch::nn::ReLU relu{nullptr};
  Sequential downsample{nullptr};
};
CONVKIT_MODULE(BasicBlock);

/// What makes one VideoResNet another: how each layer convolves. The stem of a network that begins
/// with kConv2Plus1D is one, too.
using Layout = std::array<ConvKind, 4>;

/// y = fc(flattened avgpool(layer4(layer3(layer2(layer1(stem(x))))))), two blocks a layer.
///
/// Shape:   x [N, 3, T, H, W] -> y [N, num_classes]
/// Keys:    stem.i.* layer{1..4}.{0,1}.* of the blocks, fc.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, and for an input that is not [N, 3, T, H, W] of
///          the weights' type and device.
/// Source:  torchvision.models.video.VideoResNet
/// Differs: a Layout for stem and conv_makers; it has two BasicBlocks a layer.
class CONVKIT_API VideoResNetImpl : public Block<VideoResNetImpl> {
 public:
  explicit VideoResNetImpl(const Layout& layout, const VideoResNetOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  Layout layout;
  VideoResNetOptions options;
  Sequential stem{nullptr};
  std::array<Sequential, 4> layers = {nullptr, nullptr, nullptr, nullptr};  ///< layer1 to layer4
  torch::nn::AdaptiveAvgPool3d avgpool{nullptr};
  torch::nn::Linear fc{nullptr};
};
CONVKIT_MODULE(VideoResNet);

/// Options of an S3D.
struct S3DOptions {
  int64_t num_classes = 400;
  double dropout = 0.2;
};

/// y = relu(bn(conv(x))) in space, and again in time: a kernel of 1 x kernel_size x kernel_size, then
/// one of kernel_size x 1 x 1.
///
/// Shape:   x [N, in_planes, T, H, W] -> y [N, out_planes, T', H', W'], as of a Conv3d of these sizes
/// Keys:    {0,1}.0.weight {0,1}.1.*
/// Throws:  c10::ValueError for planes, kernel_size or stride below 1, a negative padding, and for an
///          input that is not [N, in_planes, T, H, W] of the weights' type and device.
/// Source:  torchvision.models.video.s3d.TemporalSeparableConv; https://arxiv.org/abs/1712.04851
/// Differs: its norms are those of S3D, with eps 0.001 and momentum 0.001.
class CONVKIT_API TemporalSeparableConvImpl : public Block<TemporalSeparableConvImpl> {
 public:
  TemporalSeparableConvImpl(int64_t in_planes, int64_t out_planes, int64_t kernel_size,
                            int64_t stride, int64_t padding);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_planes;
  int64_t out_planes;
  int64_t kernel_size;
  int64_t stride;
  int64_t padding;
  Conv3dNormActivation space{nullptr};  ///< the child 0
  Conv3dNormActivation time{nullptr};   ///< the child 1
};
CONVKIT_MODULE(TemporalSeparableConv);

/// The channels of a SepInceptionBlock3D.
struct SepInceptionChannels {
  int64_t in_planes, b0_out, b1_mid, b1_out, b2_mid, b2_out, b3_out;
};

/// y = [branch0(x); branch1(x); branch2(x); branch3(x)]: a 1x1x1 convolution, two times a 1x1x1 and a
/// temporal separable one, and a max pool with a 1x1x1 one.
///
/// Shape:   x [N, in_planes, T, H, W] -> y [N, b0_out + b1_out + b2_out + b3_out, T, H, W]
/// Keys:    branch0.{0,1}.* branch1.0.{0,1}.* branch1.1.* branch2.0.{0,1}.* branch2.1.*
///          branch3.1.{0,1}.*
/// Throws:  c10::ValueError for channels below 1, and for an input that is not [N, in_planes, T, H, W]
///          of the weights' type and device.
/// Source:  torchvision.models.video.s3d.SepInceptionBlock3D
/// Differs: its norms are those of S3D, with eps 0.001 and momentum 0.001.
class CONVKIT_API SepInceptionBlock3DImpl : public Block<SepInceptionBlock3DImpl> {
 public:
  explicit SepInceptionBlock3DImpl(const SepInceptionChannels& channels);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  SepInceptionChannels channels;
  Conv3dNormActivation branch0{nullptr};
  Sequential branch1{nullptr};
  Sequential branch2{nullptr};
  Sequential branch3{nullptr};
};
CONVKIT_MODULE(SepInceptionBlock3D);

/// y = mean over time and space of classifier(avgpool(features(x))).
///
/// Shape:   x [N, 3, T, H, W], T at least 13, H and W at least 209 -> y [N, num_classes]
/// Keys:    features.i.* of the blocks, classifier.1.{weight,bias}
/// Throws:  c10::ValueError for num_classes below 1, a dropout outside [0, 1], and for an input that
///          is not [N, 3, T, H, W] of the weights' type and device; c10::Error for a smaller video.
/// Source:  torchvision.models.video.S3D
/// Differs: it has no norm_layer of your own.
class CONVKIT_API S3DImpl : public Block<S3DImpl> {
 public:
  explicit S3DImpl(const S3DOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  S3DOptions options;
  Sequential features{nullptr};
  torch::nn::AvgPool3d avgpool{nullptr};
  Sequential classifier{nullptr};
};
CONVKIT_MODULE(S3D);

/// Source: torchvision.models.video
CONVKIT_API VideoResNet r3d_18(const VideoResNetOptions& options = {});
CONVKIT_API VideoResNet mc3_18(const VideoResNetOptions& options = {});
CONVKIT_API VideoResNet r2plus1d_18(const VideoResNetOptions& options = {});
CONVKIT_API S3D s3d(const S3DOptions& options = {});

}  // namespace convkit::models::video

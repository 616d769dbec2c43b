#include <convkit/models/video.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/cat.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>

#include <cstddef>
#include <string>

namespace convkit::models::video {

namespace nn = torch::nn;

namespace {

using Sizes = torch::ExpandingArray<3>;

nn::Conv3d conv3d(int64_t in_planes, int64_t out_planes, const Sizes& kernel_size,
                  const Sizes& stride, const Sizes& padding) {
  return nn::Conv3d(nn::Conv3dOptions(in_planes, out_planes, kernel_size)
                        .stride(stride)
                        .padding(padding)
                        .bias(false));
}

/// A block's convolution: a Conv3d, or the two of torchvision's Conv2Plus1D.
SequentialChild make_conv(ConvKind kind, int64_t in_planes, int64_t out_planes, int64_t midplanes,
                          int64_t stride) {
  if (kind == ConvKind::kConv3DSimple) return conv3d(in_planes, out_planes, 3, stride, 1);
  if (kind == ConvKind::kConv3DNoTemporal) {
    return conv3d(in_planes, out_planes, {1, 3, 3}, {1, stride, stride}, {0, 1, 1});
  }
  return Sequential{conv3d(in_planes, midplanes, {1, 3, 3}, {1, stride, stride}, {0, 1, 1}),
                    nn::BatchNorm3d(midplanes), detail::relu(),
                    conv3d(midplanes, out_planes, {3, 1, 1}, {stride, 1, 1}, {1, 0, 0})};
}

const torch::Tensor& first_weight(const nn::Module& module) {
  for (const auto& part : module.modules()) {
    if (const auto* conv = part->as<nn::Conv3d>()) return conv->weight;
  }
  TORCH_INTERNAL_ASSERT(false);
}

}  // namespace

BasicBlockImpl::BasicBlockImpl(int64_t inplanes, int64_t planes, ConvKind kind, int64_t stride)
    : inplanes(inplanes), planes(planes), kind(kind), stride(stride) {
  BasicBlockImpl::reset();
}

void BasicBlockImpl::reset() {
  constexpr const char* kName = "BasicBlock";
  convkit::detail::check_positive(kName, "inplanes", inplanes);
  convkit::detail::check_positive(kName, "planes", planes);
  convkit::detail::check_positive(kName, "stride", stride);
  TORCH_CHECK_VALUE(kind == ConvKind::kConv3DSimple || kind == ConvKind::kConv2Plus1D ||
                        kind == ConvKind::kConv3DNoTemporal,
                    kName, ": expected one of ConvKind, got ", static_cast<int>(kind));
  // So many that two convolutions have about as many weights as one of 3x3x3.
  const int64_t midplanes = (inplanes * planes * 27) / (inplanes * 9 + 3 * planes);
  Sequential around{nullptr};  // Python makes it before the block itself
  if (stride != 1 || inplanes != planes) {
    const int64_t in_time = kind == ConvKind::kConv3DNoTemporal ? 1 : stride;
    around = Sequential{conv3d(inplanes, planes, 1, {in_time, stride, stride}, 0),
                        nn::BatchNorm3d(planes)};
  }
  conv1 = register_module("conv1", Sequential{make_conv(kind, inplanes, planes, midplanes, stride),
                                              nn::BatchNorm3d(planes), detail::relu()});
  conv2 = register_module(
      "conv2", Sequential{make_conv(kind, planes, planes, midplanes, 1), nn::BatchNorm3d(planes)});
  relu = register_module("relu", detail::relu());
  if (around) downsample = register_module("downsample", around);
}

torch::Tensor BasicBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_video("BasicBlock", x, inplanes, first_weight(*conv1));
  torch::Tensor y = conv1(x);
  y = conv2(y);
  y += downsample ? downsample(x) : x;
  return relu(y);
}

VideoResNetImpl::VideoResNetImpl(const Layout& layout, const VideoResNetOptions& options)
    : layout(layout), options(options) {
  VideoResNetImpl::reset();
}

void VideoResNetImpl::reset() {
  detail::check_num_classes("VideoResNet", options.num_classes);
  if (layout[0] == ConvKind::kConv2Plus1D) {
    stem = register_module(
        "stem", Sequential{conv3d(3, 45, {1, 7, 7}, {1, 2, 2}, {0, 3, 3}), nn::BatchNorm3d(45),
                           detail::relu(), conv3d(45, 64, {3, 1, 1}, 1, {1, 0, 0}),
                           nn::BatchNorm3d(64), detail::relu()});
  } else {
    stem = register_module("stem", Sequential{conv3d(3, 64, {3, 7, 7}, {1, 2, 2}, {1, 3, 3}),
                                              nn::BatchNorm3d(64), detail::relu()});
  }
  int64_t inplanes = 64;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const int64_t planes = int64_t{64} << i;
    layers[i] = register_module("layer" + std::to_string(i + 1),
                                Sequential{BasicBlock(inplanes, planes, layout[i], i == 0 ? 1 : 2),
                                           BasicBlock(planes, planes, layout[i])});
    inplanes = planes;
  }
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool3d(1));
  fc = register_module("fc", nn::Linear(inplanes, options.num_classes));
  for (const auto& module : modules(/*include_self=*/false)) {
    const auto* conv = module->as<nn::Conv3d>();
    if (conv != nullptr) {
      nn::init::kaiming_normal_(conv->weight, 0, torch::kFanOut, torch::kReLU);
    }
  }
  detail::start_linears(*this, [](auto& linear) { nn::init::normal_(linear.weight, 0, 0.01); });
}

torch::Tensor VideoResNetImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_video("VideoResNet", x, 3, first_weight(*stem));
  torch::Tensor y = stem(x);
  for (Sequential& layer : layers) y = layer(y);
  return fc(avgpool(y).flatten(1));
}

namespace {

/// A Conv3dNormActivation as S3D has it.
Conv3dNormActivation conv_norm_relu(int64_t in_planes, int64_t out_planes,
                                    const Sizes& kernel_size = 1, const Sizes& stride = 1,
                                    const Sizes& padding = 0) {
  return Conv3dNormActivation(
      Conv3dNormActivationOptions(in_planes, out_planes)
          .kernel_size(kernel_size)
          .stride(stride)
          .padding(padding)
          .norm({.kind = Norm::kBatchNorm3d, .eps = 0.001, .momentum = 0.001}));
}

nn::MaxPool3d pool(const Sizes& kernel_size, const Sizes& stride, const Sizes& padding) {
  return nn::MaxPool3d(nn::MaxPool3dOptions(kernel_size).stride(stride).padding(padding));
}

}  // namespace

TemporalSeparableConvImpl::TemporalSeparableConvImpl(int64_t in_planes, int64_t out_planes,
                                                     int64_t kernel_size, int64_t stride,
                                                     int64_t padding)
    : in_planes(in_planes),
      out_planes(out_planes),
      kernel_size(kernel_size),
      stride(stride),
      padding(padding) {
  TemporalSeparableConvImpl::reset();
}

void TemporalSeparableConvImpl::reset() {
  constexpr const char* kName = "TemporalSeparableConv";
  convkit::detail::check_positive(kName, "in_planes", in_planes);
  convkit::detail::check_positive(kName, "out_planes", out_planes);
  convkit::detail::check_positive(kName, "kernel_size", kernel_size);
  convkit::detail::check_positive(kName, "stride", stride);
  TORCH_CHECK_VALUE(padding >= 0, kName, ": expected padding >= 0, got ", padding);
  space = register_module("0", conv_norm_relu(in_planes, out_planes, {1, kernel_size, kernel_size},
                                              {1, stride, stride}, {0, padding, padding}));
  time = register_module("1", conv_norm_relu(out_planes, out_planes, {kernel_size, 1, 1},
                                             {stride, 1, 1}, {padding, 0, 0}));
}

torch::Tensor TemporalSeparableConvImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_video("TemporalSeparableConv", x, in_planes, space->conv->weight);
  return time(space(x));
}

SepInceptionBlock3DImpl::SepInceptionBlock3DImpl(const SepInceptionChannels& channels)
    : channels(channels) {
  SepInceptionBlock3DImpl::reset();
}

void SepInceptionBlock3DImpl::reset() {
  const auto& [in, b0_out, b1_mid, b1_out, b2_mid, b2_out, b3_out] = channels;
  for (const int64_t planes : {in, b0_out, b1_mid, b1_out, b2_mid, b2_out, b3_out}) {
    convkit::detail::check_positive("SepInceptionBlock3D", "channels", planes);
  }
  branch0 = register_module("branch0", conv_norm_relu(in, b0_out));
  branch1 = register_module("branch1", Sequential{conv_norm_relu(in, b1_mid),
                                                  TemporalSeparableConv(b1_mid, b1_out, 3, 1, 1)});
  branch2 = register_module("branch2", Sequential{conv_norm_relu(in, b2_mid),
                                                  TemporalSeparableConv(b2_mid, b2_out, 3, 1, 1)});
  branch3 = register_module("branch3", Sequential{pool(3, 1, 1), conv_norm_relu(in, b3_out)});
}

torch::Tensor SepInceptionBlock3DImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_video("SepInceptionBlock3D", x, channels.in_planes, branch0->conv->weight);
  const std::vector<torch::Tensor> branches{branch0(x), branch1(x), branch2(x), branch3(x)};
  return at::cat(branches, 1);
}

S3DImpl::S3DImpl(const S3DOptions& options) : options(options) {
  S3DImpl::reset();
}

void S3DImpl::reset() {
  detail::check_num_classes("S3D", options.num_classes);
  convkit::detail::check_probability("S3D", "dropout", options.dropout);
  const auto block = [](const SepInceptionChannels& channels) {
    return SepInceptionBlock3D(channels);
  };
  features = register_module(
      "features",
      Sequential{TemporalSeparableConv(3, 64, 7, 2, 3), pool({1, 3, 3}, {1, 2, 2}, {0, 1, 1}),
                 conv_norm_relu(64, 64), TemporalSeparableConv(64, 192, 3, 1, 1),
                 pool({1, 3, 3}, {1, 2, 2}, {0, 1, 1}), block({192, 64, 96, 128, 16, 32, 32}),
                 block({256, 128, 128, 192, 32, 96, 64}), pool(3, 2, 1),
                 block({480, 192, 96, 208, 16, 48, 64}), block({512, 160, 112, 224, 24, 64, 64}),
                 block({512, 128, 128, 256, 24, 64, 64}), block({512, 112, 144, 288, 32, 64, 64}),
                 block({528, 256, 160, 320, 32, 128, 128}), pool(2, 2, 0),
                 block({832, 256, 160, 320, 32, 128, 128}),
                 block({832, 384, 192, 384, 48, 128, 128})});
  avgpool = register_module("avgpool", nn::AvgPool3d(nn::AvgPool3dOptions({2, 7, 7}).stride(1)));
  const auto head = nn::Conv3dOptions(1024, options.num_classes, 1);
  classifier =
      register_module("classifier", Sequential{nn::Dropout(options.dropout), nn::Conv3d(head)});
}

torch::Tensor S3DImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_video("S3D", x, 3, first_weight(*features));
  torch::Tensor y = features(x);
  y = classifier(avgpool(y));
  return y.mean({2, 3, 4});
}

VideoResNet r3d_18(const VideoResNetOptions& options) {
  constexpr ConvKind kKind = ConvKind::kConv3DSimple;
  return VideoResNet(Layout{kKind, kKind, kKind, kKind}, options);
}
VideoResNet mc3_18(const VideoResNetOptions& options) {
  constexpr ConvKind kKind = ConvKind::kConv3DNoTemporal;
  return VideoResNet(Layout{ConvKind::kConv3DSimple, kKind, kKind, kKind}, options);
}
VideoResNet r2plus1d_18(const VideoResNetOptions& options) {
  constexpr ConvKind kKind = ConvKind::kConv2Plus1D;
  return VideoResNet(Layout{kKind, kKind, kKind, kKind}, options);
}
S3D s3d(const S3DOptions& options) {
  return S3D(options);
}

}  // namespace convkit::models::video

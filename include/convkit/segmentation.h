#pragma once

#include <convkit/activation.h>
#include <convkit/module.h>
#include <convkit/norm.h>

#include <torch/nn/functional/upsampling.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/ordered_dict.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace convkit {

/// y = project(concatenation of convs.i(x)): a 1x1 convolution, a dilated 3x3 one for each rate,
/// and the mean of the whole image, bilinearly spread over it; each with a norm and a ReLU.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, H, W]
/// Keys:    convs.i.0.weight, convs.i.1.* of the batch norm (in the last one 1 and 2 instead of 0
///          and 1); project.0.weight, project.1.*
/// Throws:  c10::ValueError for channels or a rate below 1 or above int32, and for an input that is
///          not [N, in_channels, H, W] of the weights' type and device.
/// Source:  torchvision.models.segmentation.deeplabv3.ASPP; https://arxiv.org/abs/1706.05587
class CONVKIT_API ASPPImpl : public Block<ASPPImpl> {
 public:
  ASPPImpl(int64_t in_channels, std::vector<int64_t> atrous_rates, int64_t out_channels = 256);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_channels;
  std::vector<int64_t> atrous_rates;
  int64_t out_channels;
  torch::nn::ModuleList convs{nullptr};
  Sequential project{nullptr};
};
CONVKIT_MODULE(ASPP);

/// y = concatenation of blocks.i(x) and x. A block takes the image as size x size means through a
/// 1x1 convolution, a norm and a ReLU, and spreads it bilinearly over the image
/// (align_corners=True). Size 1 has no norm, whatever use_norm says.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, s floor(in_channels / s) + in_channels, H, W] for s
///          sizes
/// Keys:    blocks.i.pool.1.0.weight, blocks.i.pool.1.1.* of the norm; of size 1, which has no
///          norm, blocks.i.pool.1.0.{weight,bias}
/// Throws:  c10::ValueError for a size below 1, none of them, in_channels below their number, and
///          for an input that is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  segmentation_models_pytorch.decoders.pspnet.decoder.PSPModule;
///          https://arxiv.org/abs/1612.01105
class CONVKIT_API PSPModuleImpl : public Block<PSPModuleImpl> {
 public:
  explicit PSPModuleImpl(int64_t in_channels, std::vector<int64_t> sizes = {1, 2, 3, 6},
                         Norm use_norm = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t in_channels;
  std::vector<int64_t> sizes;
  Norm use_norm;
  torch::nn::ModuleList blocks{nullptr};
};
CONVKIT_MODULE(PSPModule);

/// The attention by which a decoder's block weighs its maps.
enum class AttentionType { kNone, kSCSE };

/// Options of UnetDecoderBlock.
struct CONVKIT_API UnetDecoderBlockOptions {
  using mode_t = torch::nn::functional::InterpolateFuncOptions::mode_t;

  UnetDecoderBlockOptions(int64_t in_channels, int64_t skip_channels, int64_t out_channels)
      : in_channels_(in_channels), skip_channels_(skip_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, skip_channels);  ///< 0 where there is no skip connection
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(Norm, use_norm) = Norm();
  TORCH_ARG(AttentionType, attention_type) = AttentionType::kNone;
  /// It is torch::kNearest, kNearestExact, kBilinear, kBicubic or kArea.
  TORCH_ARG(mode_t, interpolation_mode) = torch::kNearest;
};

/// y = attention2(conv2(conv1(attention1([upsampled x; skip])))), each conv with a norm and a ReLU.
/// It has two inputs, so it is no Block; attention1 runs only where there is a skip connection.
///
/// Shape:   x [N, in_channels, h, w], skip [N, skip_channels, H, W] -> y [N, out_channels, H, W],
///          of any H and W
/// Keys:    conv1.0.weight, conv1.1.* of the norm (without one conv1.0.bias), conv2 alike;
///          with kSCSE attention{1,2}.attention.{cSE,sSE}.*
/// Throws:  c10::ValueError for in_channels or out_channels below 1, skip_channels below 0, with
///          kSCSE channels below its reduction of 16, a mode that does not interpolate images, a
///          skip that is missing or that there should not be, and for maps of another shape, type
///          or device.
/// Source:  segmentation_models_pytorch.decoders.unet.decoder.UnetDecoderBlock
class CONVKIT_API UnetDecoderBlockImpl : public Cloneable<UnetDecoderBlockImpl> {
 public:
  explicit UnetDecoderBlockImpl(UnetDecoderBlockOptions options);
  UnetDecoderBlockImpl(int64_t in_channels, int64_t skip_channels, int64_t out_channels)
      : UnetDecoderBlockImpl(UnetDecoderBlockOptions(in_channels, skip_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x, int64_t target_height, int64_t target_width,
                        const torch::Tensor& skip_connection = {});

  UnetDecoderBlockOptions options;
  Sequential conv1{nullptr};
  std::shared_ptr<torch::nn::Module> attention1;
  Sequential conv2{nullptr};
  std::shared_ptr<torch::nn::Module> attention2;
};
CONVKIT_MODULE(UnetDecoderBlock);

/// Options of SegmentationHead.
struct CONVKIT_API SegmentationHeadOptions {
  SegmentationHeadOptions(int64_t in_channels, int64_t out_channels)
      : in_channels_(in_channels), out_channels_(out_channels) {}

  TORCH_ARG(int64_t, in_channels);
  TORCH_ARG(int64_t, out_channels);
  TORCH_ARG(int64_t, kernel_size) = 3;
  TORCH_ARG(Activation, activation) = Activation { Activation::kNone };
  /// The factor, which as in smp has no effect unless it is above 1.
  TORCH_ARG(double, upsampling) = 1;
};

/// y = activation(upsampled conv(x)), bilinearly (align_corners=True) where upsampling is above 1.
///
/// Shape:   x [N, in_channels, H, W] -> y [N, out_channels, floor(upsampling H'), ...], H' = H for
///          an odd kernel_size, else H + 1
/// Keys:    0.{weight,bias}; a PReLU's 2.activation.weight
/// Throws:  c10::ValueError for channels or kernel_size below 1, upsampling <= 0, and for an input
///          that is not [N, in_channels, H, W] of the weights' type and device.
/// Source:  segmentation_models_pytorch.base.SegmentationHead
/// Differs: it has Activation's kinds, smp also softmax, logsoftmax, argmax, clamp and functions.
class CONVKIT_API SegmentationHeadImpl : public Block<SegmentationHeadImpl> {
 public:
  explicit SegmentationHeadImpl(SegmentationHeadOptions options);
  SegmentationHeadImpl(int64_t in_channels, int64_t out_channels)
      : SegmentationHeadImpl(SegmentationHeadOptions(in_channels, out_channels)) {}

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  SegmentationHeadOptions options;
  torch::nn::Conv2d conv{nullptr};
};
CONVKIT_MODULE(SegmentationHead);

/// y_i = layer_blocks.i(inner_i), inner_i = inner_blocks.i(x_i) + inner_(i+1), upsampled to its
/// size by nearest values. It takes and gives several maps, so it is no Block.
///
/// Shape:   x_i [N, in_channels_list[i], H_i, W_i], the largest map first -> y_i [N, out_channels,
///          H_i, W_i] under the same names
/// Keys:    inner_blocks.i.0.{weight,bias} layer_blocks.i.0.{weight,bias}, with a norm .1.* and no
///          bias; load_state_dict() takes those of before torchvision 0.13, without the 0, too
/// Throws:  c10::ValueError for channels below 1, an empty in_channels_list, another number of maps
///          than it has, and for maps of another shape, batch, type or device.
/// Source:  torchvision.ops.FeaturePyramidNetwork; https://arxiv.org/abs/1612.03144
/// Differs: it has no extra_blocks.
class CONVKIT_API FeaturePyramidNetworkImpl : public Cloneable<FeaturePyramidNetworkImpl> {
 public:
  using Maps = torch::OrderedDict<std::string, torch::Tensor>;  ///< from the largest on

  FeaturePyramidNetworkImpl(std::vector<int64_t> in_channels_list, int64_t out_channels,
                            Norm norm_layer = {Norm::kNone});

  void reset() override;
  Maps forward(const Maps& x);
  /// "inner_blocks.0.weight" of before torchvision 0.13 is "inner_blocks.0.0.weight".
  [[nodiscard]] std::string current_key(const std::string& key) const override;

  std::vector<int64_t> in_channels_list;
  int64_t out_channels;
  Norm norm_layer;
  torch::nn::ModuleList inner_blocks{nullptr};
  torch::nn::ModuleList layer_blocks{nullptr};
};
CONVKIT_MODULE(FeaturePyramidNetwork);

}  // namespace convkit

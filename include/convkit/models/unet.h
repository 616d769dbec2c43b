#pragma once

#include <convkit/models/resnet.h>
#include <convkit/segmentation.h>

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// The U-Net, a network that gives each pixel its class.
namespace convkit::models::unet {

/// Options of a Unet.
struct UnetOptions {
  std::string encoder_name = "resnet34";  ///< one of encoder_names()
  int64_t encoder_depth = 5;              ///< how often the size is halved, from 1 to 5
  Norm decoder_use_norm = {};
  std::vector<int64_t> decoder_channels = {256, 128, 64, 32, 16};  ///< encoder_depth of them
  AttentionType decoder_attention_type = AttentionType::kNone;
  UnetDecoderBlockOptions::mode_t decoder_interpolation = torch::kNearest;
  int64_t in_channels = 3;
  int64_t classes = 1;
  Activation activation = {Activation::kNone};
};

/// The names of the encoders: resnet18, ..., resnext101_32x8d.
CONVKIT_API std::vector<std::string> encoder_names();

/// The way back to the size of the image: the first block takes the smallest map and joins it with
/// the next larger one, the second takes the result, and so on. It takes several maps, so it is no
/// Block.
///
/// Shape:   {[N, encoder_channels[i], H_i, W_i]}, the image itself first, each map smaller than the
///          one before -> [N, decoder_channels.back(), H_0, W_0]
/// Keys:    blocks.i.* of UnetDecoderBlock
/// Throws:  c10::ValueError for another number of decoder_channels than maps after the image, for
///          what UnetDecoderBlock refuses, for another number of maps, and for maps of another
///          shape or batch.
/// Source:  segmentation_models_pytorch.decoders.unet.decoder.UnetDecoder
/// Differs: it has no block in the centre (add_center_block), which smp gives VGGs alone.
class CONVKIT_API UnetDecoderImpl : public Cloneable<UnetDecoderImpl> {
 public:
  UnetDecoderImpl(std::vector<int64_t> encoder_channels, std::vector<int64_t> decoder_channels,
                  Norm use_norm = {}, AttentionType attention_type = AttentionType::kNone,
                  UnetDecoderBlockOptions::mode_t interpolation_mode = torch::kNearest);

  void reset() override;
  torch::Tensor forward(const std::vector<torch::Tensor>& features);

  std::vector<int64_t> encoder_channels;
  std::vector<int64_t> decoder_channels;
  Norm use_norm;
  AttentionType attention_type;
  UnetDecoderBlockOptions::mode_t interpolation_mode;
  torch::nn::Identity center{nullptr};
  torch::nn::ModuleList blocks{nullptr};
};
CONVKIT_MODULE(UnetDecoder);

/// y = segmentation_head(decoder(x and the maps of encoder(x))), for images of any size.
///
///     Unet net(UnetOptions{.encoder_name = "resnet18", .classes = 3});
///
/// Shape:   x [N, in_channels, H, W] -> y [N, classes, H, W]
/// Keys:    encoder.* of ResNet without fc, decoder.blocks.i.* segmentation_head.0.{weight,bias}
/// Throws:  c10::ValueError for an unknown encoder_name, an encoder_depth outside [1, 5], another
///          number of decoder_channels, in_channels or classes below 1, what UnetDecoderBlock
///          refuses, and for an input that is not [N, in_channels, H, W] of the weights' type and
///          device.
/// Source:  segmentation_models_pytorch.Unet; https://arxiv.org/abs/1505.04597
/// Differs: smp has more encoders, and a second head for the image's class (aux_params).
class CONVKIT_API UnetImpl : public Block<UnetImpl> {
 public:
  explicit UnetImpl(UnetOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  UnetOptions options;
  resnet::ResNet encoder{nullptr};
  UnetDecoder decoder{nullptr};
  SegmentationHead segmentation_head{nullptr};
};
CONVKIT_MODULE(Unet);

}  // namespace convkit::models::unet

#pragma once

#include <convkit/module.h>

#include <torch/nn/modules/conv.h>

#include <array>
#include <cstdint>

namespace convkit::models {

/// Options of an EdsrModel.
struct EdsrOptions {
  int64_t scale = 2;
  int64_t n_resblocks = 16;
  int64_t n_feats = 64;
  int64_t n_colors = 3;
  double rgb_range = 255;
  /// Of the images that it was trained with; by default those of DIV2K.
  std::array<float, 3> rgb_mean = {0.4488F, 0.4371F, 0.4040F};
  std::array<float, 3> rgb_std = {1, 1, 1};
  bool no_upsampling = false;  ///< whether the result is the body's map
  double res_scale = 1;        ///< what each ResBlock multiplies its own part with
};

/// A network that enlarges images. models::create() has none, since it has no classes. The package of
/// its source needs others at once, so what it is compared with is written anew from it, in
/// tests/parity/written_networks.py.
namespace edsr {

/// y = x + res_scale body(x): two 3x3 convolutions and a ReLU between them.
///
/// Shape:   x [N, n_feats, H, W] -> y [N, n_feats, H, W]
/// Keys:    body.{0,2}.{weight,bias}
/// Throws:  c10::ValueError for n_feats below 1, and for an input that is not [N, n_feats, H, W] of the
///          weights' type and device.
/// Source:  super_image.models.edsr.modeling_edsr.ResBlock; https://arxiv.org/abs/1707.02921
/// Differs: its convolutions are 3x3 with a bias, there is no norm, and the activation is a ReLU.
class CONVKIT_API ResBlockImpl : public Block<ResBlockImpl> {
 public:
  explicit ResBlockImpl(int64_t n_feats, double res_scale = 1);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  int64_t n_feats;
  double res_scale;
  Sequential body{nullptr};
};
CONVKIT_MODULE(ResBlock);

/// y = tail(z + body(z)), z = head(x): ResBlocks and a convolution, then for each factor 2 of the scale,
/// or for the factor 3, a convolution and a pixel shuffle, and a last convolution.
///
/// Shape:   x [N, n_colors, H, W] -> y [N, n_colors, scale H, scale W]; with no_upsampling y is [N,
///          n_feats, H, W]
/// Keys:    {sub_mean,add_mean}.{weight,bias} head.0.{weight,bias} body.i.body.{0,2}.{weight,bias}
///          body.n_resblocks.{weight,bias} tail.0.{0,2,...}.{weight,bias} tail.1.{weight,bias}
/// Throws:  c10::ValueError for n_resblocks, n_feats or n_colors below 1, a scale that is neither 3 nor
///          a power of 2, and for an input that is not [N, n_colors, H, W] of the weights' type and
///          device.
/// Source:  super_image.EdsrModel (super-image 0.2.0, Apache 2.0); https://arxiv.org/abs/1707.02921
/// Differs: sub_mean and add_mean, two 1x1 convolutions by rgb_range, rgb_mean and rgb_std, are there
///          and do nothing, as in Python, whose load_state_dict() also skips a tail of another scale.
class CONVKIT_API EdsrModelImpl : public Block<EdsrModelImpl> {
 public:
  explicit EdsrModelImpl(const EdsrOptions& options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;

  EdsrOptions options;
  torch::nn::Conv2d sub_mean{nullptr};
  torch::nn::Conv2d add_mean{nullptr};
  Sequential head{nullptr};
  Sequential body{nullptr};
  Sequential tail{nullptr};  ///< null with no_upsampling
};
CONVKIT_MODULE(EdsrModel);

}  // namespace edsr

/// An EdsrModel with 16 ResBlocks of 64 channels. Weights for the scales 2, 3 and 4 are published as
/// eugenesiow/edsr-base, in pytorch_model_2x.pt and so on.
/// Source: super_image.EdsrModel
CONVKIT_API edsr::EdsrModel edsr_base(int64_t scale);

}  // namespace convkit::models

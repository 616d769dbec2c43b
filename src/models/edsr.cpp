#include <convkit/models/edsr.h>

#include "core/check.h"
#include "models/start.h"

#include <ATen/ops/eye.h>
#include <ATen/ops/tensor.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/pixelshuffle.h>

#include <bit>

namespace convkit::models {

namespace nn = torch::nn;

namespace edsr {

namespace {

nn::Conv2d conv3x3(int64_t in_channels, int64_t out_channels) {
  return nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 3).padding(1));
}

/// A 1x1 convolution that divides each color by its deviation, and shifts it by its mean.
nn::Conv2d mean_shift(const EdsrOptions& options, double sign) {
  nn::Conv2d shift(nn::Conv2dOptions(3, 3, 1));
  const torch::NoGradGuard no_grad;
  const torch::Tensor std = at::tensor(at::ArrayRef<float>(options.rgb_std));
  const torch::Tensor mean = at::tensor(at::ArrayRef<float>(options.rgb_mean));
  shift->weight.copy_(at::eye(3).view({3, 3, 1, 1}) / std.view({3, 1, 1, 1}));
  shift->bias.copy_(mean * (sign * options.rgb_range) / std);
  return shift;
}

/// Makes super_image's Upsampler.
Sequential upsampler(int64_t scale, int64_t n_feats) {
  Sequential layers;
  const int64_t factor = scale == 3 ? 3 : 2;
  for (int64_t reached = 1; reached < scale; reached *= factor) {
    layers->push_back(conv3x3(n_feats, factor * factor * n_feats));
    layers->push_back(nn::PixelShuffle(factor));
  }
  return layers;
}

}  // namespace

ResBlockImpl::ResBlockImpl(int64_t n_feats, double res_scale)
    : n_feats(n_feats), res_scale(res_scale) {
  ResBlockImpl::reset();
}

void ResBlockImpl::reset() {
  convkit::detail::check_positive("ResBlock", "n_feats", n_feats);
  body = register_module(
      "body", Sequential{conv3x3(n_feats, n_feats), detail::relu(), conv3x3(n_feats, n_feats)});
}

torch::Tensor ResBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("ResBlock", x, n_feats, convkit::detail::Batch::kRequired,
                               body[0]->as<nn::Conv2d>()->weight);
  torch::Tensor y = body(x).mul(res_scale);
  y += x;
  return y;
}

EdsrModelImpl::EdsrModelImpl(const EdsrOptions& options) : options(options) {
  EdsrModelImpl::reset();
}

void EdsrModelImpl::reset() {
  constexpr const char* kName = "EdsrModel";
  const int64_t n_feats = options.n_feats;
  convkit::detail::check_positive(kName, "scale", options.scale);
  TORCH_CHECK_VALUE(options.scale == 3 || std::has_single_bit(static_cast<uint64_t>(options.scale)),
                    kName, ": expected scale 3 or a power of 2, got ", options.scale);
  convkit::detail::check_positive(kName, "n_resblocks", options.n_resblocks);
  convkit::detail::check_positive(kName, "9 n_feats", 9 * n_feats);
  convkit::detail::check_positive(kName, "n_colors", options.n_colors);
  sub_mean = register_module("sub_mean", mean_shift(options, -1));
  add_mean = register_module("add_mean", mean_shift(options, 1));
  head = register_module("head", Sequential{conv3x3(options.n_colors, n_feats)});
  body = register_module("body", Sequential());
  for (int64_t i = 0; i < options.n_resblocks; ++i) {
    body->push_back(ResBlock(n_feats, options.res_scale));
  }
  body->push_back(conv3x3(n_feats, n_feats));
  if (options.no_upsampling) return;
  tail = register_module(
      "tail", Sequential{upsampler(options.scale, n_feats), conv3x3(n_feats, options.n_colors)});
}

torch::Tensor EdsrModelImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("EdsrModel", x, options.n_colors, convkit::detail::Batch::kRequired,
                               head[0]->as<nn::Conv2d>()->weight);
  const torch::Tensor z = head(x);
  torch::Tensor y = body(z);
  y += z;
  return tail ? tail(y) : y;
}

}  // namespace edsr

edsr::EdsrModel edsr_base(int64_t scale) {
  return edsr::EdsrModel(EdsrOptions{.scale = scale});
}

}  // namespace convkit::models

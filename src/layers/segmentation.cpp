#include <convkit/attention.h>
#include <convkit/blocks.h>
#include <convkit/segmentation.h>
#include <convkit/upsample.h>

#include "core/check.h"
#include "layers/norm.h"

#include <ATen/ops/cat.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/dropout.h>

namespace convkit {

namespace nn = torch::nn;

namespace {

/// A branch of torchvision's ASPP, whose ReLU is not in place.
Sequential conv_bn_relu(const nn::Conv2dOptions& options) {
  nn::Conv2dOptions without_bias = options;
  return Sequential{nn::Conv2d(without_bias.bias(false)), nn::BatchNorm2d(options.out_channels()),
                    nn::ReLU()};
}

/// ASPP's view of the whole image; torchvision.models.segmentation.deeplabv3.ASPPPooling.
class ASPPPoolingImpl : public Block<ASPPPoolingImpl> {
 public:
  ASPPPoolingImpl(int64_t in_channels, int64_t out_channels)
      : in_channels(in_channels), out_channels(out_channels) {
    ASPPPoolingImpl::reset();
  }

  void reset() override {
    register_module("0", nn::AdaptiveAvgPool2d(1));
    register_module("1", nn::Conv2d(nn::Conv2dOptions(in_channels, out_channels, 1).bias(false)));
    register_module("2", nn::BatchNorm2d(out_channels));
    register_module("3", nn::ReLU());
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = x;
    for (const auto& child : children()) y = forward_child(*child, y);
    return upsample_like(y, x, UpsampleMode::kBilinear);
  }

  int64_t in_channels;
  int64_t out_channels;
};

/// segmentation_models_pytorch.base.modules.Conv2dReLU, whose indices do not shift without a norm.
Sequential conv2d_relu(const char* module, int64_t in_channels, int64_t out_channels,
                       int64_t kernel_size, const Norm& use_norm) {
  const auto norm = detail::norm_of(module, use_norm, out_channels);
  const auto conv = nn::Conv2dOptions(in_channels, out_channels, kernel_size)
                        .padding(kernel_size / 2)
                        .bias(norm == nullptr);
  return Sequential{nn::Conv2d(conv), norm == nullptr ? nn::Identity().ptr() : norm,
                    nn::ReLU(nn::ReLUOptions(/*inplace=*/true))};
}

/// One size of PSPModule; segmentation_models_pytorch.decoders.pspnet.decoder.PSPBlock.
class PSPBlockImpl : public Block<PSPBlockImpl> {
 public:
  PSPBlockImpl(int64_t in_channels, int64_t out_channels, int64_t pool_size, const Norm& use_norm)
      : in_channels(in_channels),
        out_channels(out_channels),
        pool_size(pool_size),
        // A batch of one has no variance over a single pixel.
        use_norm(pool_size == 1 ? Norm{Norm::kNone} : use_norm) {
    PSPBlockImpl::reset();
  }

  void reset() override {
    pool = register_module(
        "pool", Sequential{nn::AdaptiveAvgPool2d(pool_size),
                           conv2d_relu("PSPModule", in_channels, out_channels, 1, use_norm)});
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    return at::upsample_bilinear2d(pool(x), {x.size(2), x.size(3)}, /*align_corners=*/true);
  }

  int64_t in_channels;
  int64_t out_channels;
  int64_t pool_size;
  Norm use_norm;
  Sequential pool{nullptr};
};

/// UnetDecoderBlock's attention; segmentation_models_pytorch.base.modules.Attention.
std::shared_ptr<nn::Module> make_attention(AttentionType type, int64_t in_channels) {
  switch (type) {
    case AttentionType::kNone:
      return Sequential{{"attention", nn::Identity()}}.ptr();
    case AttentionType::kSCSE:
      return Sequential{{"attention", SCSEModule(in_channels)}}.ptr();
  }
  TORCH_CHECK_VALUE(false, "UnetDecoderBlock: expected one of AttentionType, got ",
                    static_cast<int>(type));
}

/// SegmentationHead's torch.nn.UpsamplingBilinear2d; LibTorch's Upsample warns about factors like
/// 1.5.
class UpsamplingBilinear2dImpl : public Block<UpsamplingBilinear2dImpl> {
 public:
  explicit UpsamplingBilinear2dImpl(double scale_factor) : scale_factor(scale_factor) {}

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override {
    return at::upsample_bilinear2d(x, std::nullopt, /*align_corners=*/true,
                                   std::vector<double>{scale_factor, scale_factor});
  }

  double scale_factor;
};

}  // namespace

ASPPImpl::ASPPImpl(int64_t in_channels, std::vector<int64_t> atrous_rates, int64_t out_channels)
    : in_channels(in_channels), atrous_rates(std::move(atrous_rates)), out_channels(out_channels) {
  ASPPImpl::reset();
}

void ASPPImpl::reset() {
  constexpr const char* kName = "ASPP";
  detail::check_positive(kName, "in_channels", in_channels);
  detail::check_positive(kName, "out_channels", out_channels);
  convs = register_module("convs", nn::ModuleList());
  convs->push_back(conv_bn_relu(nn::Conv2dOptions(in_channels, out_channels, 1)));
  for (const int64_t rate : atrous_rates) {
    detail::check_positive(kName, "atrous_rates", rate);
    convs->push_back(
        conv_bn_relu(nn::Conv2dOptions(in_channels, out_channels, 3).padding(rate).dilation(rate)));
  }
  convs->push_back(std::make_shared<ASPPPoolingImpl>(in_channels, out_channels));
  const auto branches = static_cast<int64_t>(convs->size());
  project = register_module(
      "project", conv_bn_relu(nn::Conv2dOptions(branches * out_channels, out_channels, 1)));
  project->push_back(nn::Dropout(0.5));
}

torch::Tensor ASPPImpl::forward(const torch::Tensor& x) {
  const torch::Tensor& weight = project[0]->as<nn::Conv2d>()->weight;
  detail::check_input("ASPP", x, in_channels, detail::Batch::kRequired, weight);
  std::vector<torch::Tensor> views;
  for (const auto& conv : *convs) views.push_back(forward_child(*conv, x));
  return project(at::cat(views, 1));
}

PSPModuleImpl::PSPModuleImpl(int64_t in_channels, std::vector<int64_t> sizes, Norm use_norm)
    : in_channels(in_channels), sizes(std::move(sizes)), use_norm(use_norm) {
  PSPModuleImpl::reset();
}

void PSPModuleImpl::reset() {
  detail::check_positive("PSPModule", "in_channels", in_channels);
  const auto count = static_cast<int64_t>(sizes.size());
  TORCH_CHECK_VALUE(count >= 1 && in_channels >= count,
                    "PSPModule: expected at least one of sizes, and as many in_channels, got ",
                    count, " and ", in_channels);
  blocks = register_module("blocks", nn::ModuleList());
  for (const int64_t size : sizes) {
    detail::check_positive("PSPModule", "sizes", size);
    blocks->push_back(
        std::make_shared<PSPBlockImpl>(in_channels, in_channels / count, size, use_norm));
  }
}

torch::Tensor PSPModuleImpl::forward(const torch::Tensor& x) {
  const torch::Tensor weight = blocks[0]->parameters().front();
  detail::check_input("PSPModule", x, in_channels, detail::Batch::kRequired, weight);
  std::vector<torch::Tensor> views;
  for (const auto& block : *blocks) views.push_back(forward_child(*block, x));
  views.push_back(x);
  return at::cat(views, 1);
}

UnetDecoderBlockImpl::UnetDecoderBlockImpl(UnetDecoderBlockOptions block_options)
    : options(std::move(block_options)) {
  UnetDecoderBlockImpl::reset();
}

void UnetDecoderBlockImpl::reset() {
  constexpr const char* kName = "UnetDecoderBlock";
  detail::check_positive(kName, "in_channels", options.in_channels());
  detail::check_positive(kName, "out_channels", options.out_channels());
  TORCH_CHECK_VALUE(options.skip_channels() >= 0, kName, ": expected skip_channels >= 0, got ",
                    options.skip_channels());
  if (options.skip_channels() > 0) {
    detail::check_positive(kName, "skip_channels", options.skip_channels());
  }
  const auto& mode = options.interpolation_mode();
  TORCH_CHECK_VALUE(!std::holds_alternative<torch::enumtype::kLinear>(mode) &&
                        !std::holds_alternative<torch::enumtype::kTrilinear>(mode),
                    kName, ": expected an interpolation_mode for images, got ",
                    torch::enumtype::get_enum_name(mode));
  const int64_t channels = options.in_channels() + options.skip_channels();
  detail::check_positive(kName, "in_channels + skip_channels", channels);
  conv1 = register_module(
      "conv1", conv2d_relu(kName, channels, options.out_channels(), 3, options.use_norm()));
  attention1 = register_module("attention1", make_attention(options.attention_type(), channels));
  conv2 = register_module("conv2", conv2d_relu(kName, options.out_channels(),
                                               options.out_channels(), 3, options.use_norm()));
  attention2 = register_module("attention2",
                               make_attention(options.attention_type(), options.out_channels()));
}

torch::Tensor UnetDecoderBlockImpl::forward(const torch::Tensor& x, int64_t target_height,
                                            int64_t target_width,
                                            const torch::Tensor& skip_connection) {
  constexpr const char* kName = "UnetDecoderBlock";
  const torch::Tensor& weight = conv1[0]->as<nn::Conv2d>()->weight;
  detail::check_input(kName, x, options.in_channels(), detail::Batch::kRequired, weight);
  detail::check_positive(kName, "target_height", target_height);
  detail::check_positive(kName, "target_width", target_width);
  TORCH_CHECK_VALUE(skip_connection.defined() == (options.skip_channels() > 0), kName,
                    ": expected ", options.skip_channels() > 0 ? "a" : "no",
                    " skip_connection for skip_channels ", options.skip_channels(), ", got ",
                    skip_connection.defined() ? "one" : "none");
  const auto& mode = options.interpolation_mode();
  auto interpolate = nn::functional::InterpolateFuncOptions().mode(mode).size(
      std::vector<int64_t>{target_height, target_width});
  if (!std::holds_alternative<torch::enumtype::kNearest>(mode) &&
      !std::holds_alternative<torch::enumtype::kArea>(mode)) {
    interpolate.align_corners(false);  // the default, about which LibTorch warns
  }
  torch::Tensor y = nn::functional::interpolate(x, interpolate);
  if (skip_connection.defined()) {
    detail::check_input(kName, skip_connection, options.skip_channels(), detail::Batch::kRequired,
                        weight);
    TORCH_CHECK_VALUE(
        skip_connection.size(0) == x.size(0) && skip_connection.size(2) == target_height &&
            skip_connection.size(3) == target_width,
        kName, ": expected a skip_connection [", x.size(0), ", ", options.skip_channels(), ", ",
        target_height, ", ", target_width, "], got ", skip_connection.sizes());
    y = forward_child(*attention1, at::cat({y, skip_connection}, 1));
  }
  return forward_child(*attention2, conv2(conv1(y)));
}

SegmentationHeadImpl::SegmentationHeadImpl(SegmentationHeadOptions head_options)
    : options(std::move(head_options)) {
  SegmentationHeadImpl::reset();
}

void SegmentationHeadImpl::reset() {
  constexpr const char* kName = "SegmentationHead";
  TORCH_CHECK_VALUE(options.upsampling() > 0 && options.upsampling() < 1e6, kName,
                    ": expected 0 < upsampling < 10^6, got ", options.upsampling());
  const auto conv_options =
      nn::Conv2dOptions(options.in_channels(), options.out_channels(), options.kernel_size())
          .padding(options.kernel_size() / 2);
  conv = register_module("0", nn::Conv2d(detail::checked(kName, conv_options)));
  if (options.upsampling() > 1) {
    register_module("1", std::make_shared<UpsamplingBilinear2dImpl>(options.upsampling()));
  } else {
    register_module("1", nn::Identity());
  }
  const auto activation = make_activation(options.activation());
  register_module(
      "2", Sequential{{"activation", activation == nullptr ? nn::Identity().ptr() : activation}});
}

torch::Tensor SegmentationHeadImpl::forward(const torch::Tensor& x) {
  detail::check_input("SegmentationHead", x, options.in_channels(), detail::Batch::kRequired,
                      conv->weight);
  torch::Tensor y = x;
  for (const auto& child : children()) y = forward_child(*child, y);
  return y;
}

FeaturePyramidNetworkImpl::FeaturePyramidNetworkImpl(std::vector<int64_t> in_channels_list,
                                                     int64_t out_channels, Norm norm_layer)
    : in_channels_list(std::move(in_channels_list)),
      out_channels(out_channels),
      norm_layer(norm_layer) {
  FeaturePyramidNetworkImpl::reset();
}

void FeaturePyramidNetworkImpl::reset() {
  constexpr const char* kName = "FeaturePyramidNetwork";
  detail::check_positive(kName, "out_channels", out_channels);
  TORCH_CHECK_VALUE(!in_channels_list.empty(), kName,
                    ": expected in_channels_list to name at least one map, got none");
  inner_blocks = register_module("inner_blocks", nn::ModuleList());
  layer_blocks = register_module("layer_blocks", nn::ModuleList());
  const auto block = [this](int64_t in_channels, int64_t kernel_size) {
    return Conv2dNormActivation(Conv2dNormActivationOptions(in_channels, out_channels)
                                    .kernel_size(kernel_size)
                                    .norm(norm_layer)
                                    .activation({Activation::kNone}));
  };
  for (const int64_t in_channels : in_channels_list) {
    detail::check_positive(kName, "in_channels_list", in_channels);
    inner_blocks->push_back(block(in_channels, 1));
    layer_blocks->push_back(block(out_channels, 3));
  }
  for (const auto& module : modules(/*include_self=*/false)) {
    if (const auto* conv = module->as<nn::Conv2d>()) {
      nn::init::kaiming_uniform_(conv->weight, 1);
      if (conv->bias.defined()) nn::init::zeros_(conv->bias);
    }
  }
}

FeaturePyramidNetworkImpl::Maps FeaturePyramidNetworkImpl::forward(const Maps& x) {
  constexpr const char* kName = "FeaturePyramidNetwork";
  TORCH_CHECK_VALUE(x.size() == in_channels_list.size(), kName, ": expected ",
                    in_channels_list.size(), " maps, got ", x.size());
  const auto inner = [this](std::size_t i) { return inner_blocks[i]->as<Conv2dNormActivation>(); };
  for (std::size_t i = 0; i < x.size(); ++i) {
    detail::check_input(kName, x[i].value(), in_channels_list[i], detail::Batch::kRequired,
                        inner(i)->conv->weight);
    TORCH_CHECK_VALUE(x[i].value().size(0) == x[0].value().size(0), kName,
                      ": expected maps of the same batch ", x[0].value().size(0), ", got ",
                      x[i].value().sizes());
  }
  std::vector<torch::Tensor> results(x.size());
  torch::Tensor last_inner;
  for (std::size_t i = x.size(); i-- > 0;) {
    torch::Tensor lateral = forward_child(*inner(i), x[i].value());
    last_inner = last_inner.defined() ? lateral + upsample_like(last_inner, lateral) : lateral;
    results[i] = forward_child(*layer_blocks[i], last_inner);
  }
  Maps y;
  for (std::size_t i = 0; i < x.size(); ++i) y.insert(x[i].key(), results[i]);
  return y;
}

std::string FeaturePyramidNetworkImpl::current_key(const std::string& key) const {
  const bool tensor = key.ends_with(".weight") || key.ends_with(".bias");
  for (const std::string blocks : {"inner_blocks.", "layer_blocks."}) {
    if (!tensor || !key.starts_with(blocks)) continue;
    const std::size_t dot = key.rfind('.');
    const std::string index = key.substr(blocks.size(), dot - blocks.size());
    for (std::size_t i = 0; i < in_channels_list.size(); ++i) {
      if (index == std::to_string(i)) return blocks + index + ".0" + key.substr(dot);
    }
  }
  return key;
}

}  // namespace convkit

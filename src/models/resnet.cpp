#include <convkit/models/resnet.h>

#include "core/check.h"
#include "layers/norm.h"
#include "models/start.h"

#include <torch/nn/init.h>

#include <string>

namespace convkit::models {

namespace nn = torch::nn;

namespace resnet {

namespace {

nn::Conv2d conv3x3(const char* name, int64_t in_planes, int64_t out_planes,
                   const BlockOptions& options) {
  return nn::Conv2d(convkit::detail::checked(name, nn::Conv2dOptions(in_planes, out_planes, 3)
                                                       .stride(options.stride())
                                                       .padding(options.dilation())
                                                       .dilation(options.dilation())
                                                       .groups(options.groups())
                                                       .bias(false)));
}

nn::Conv2d conv1x1(int64_t in_planes, int64_t out_planes, int64_t stride = 1) {
  return nn::Conv2d(nn::Conv2dOptions(in_planes, out_planes, 1).stride(stride).bias(false));
}

void check_block(const char* name, const BlockOptions& options, int64_t expansion) {
  using convkit::detail::check_positive;
  check_positive(name, "inplanes", options.inplanes());
  check_positive(name, "planes", options.planes());
  check_positive(name, "stride", options.stride());
  check_positive(name, "groups", options.groups());
  check_positive(name, "base_width", options.base_width());
  check_positive(name, "dilation", options.dilation());
  detail::check_norm_layer(name, options.norm_layer());
  const int64_t out_planes = options.planes() * expansion;
  check_positive(name, "out_planes", out_planes);
  TORCH_CHECK_VALUE(
      options.downsample() || (options.stride() == 1 && options.inplanes() == out_planes), name,
      ": expected a downsample where the shape changes, from ", options.inplanes(), " to ",
      out_planes, " channels with stride ", options.stride());
}

/// Makes the way around a block, which Python makes before the block itself; null if it has none.
Sequential make_downsample(const char* name, const BlockOptions& options, int64_t out_planes) {
  if (!options.downsample()) return nullptr;
  return Sequential{conv1x1(options.inplanes(), out_planes, options.stride()),
                    convkit::detail::norm_of(name, options.norm_layer(), out_planes)};
}

}  // namespace

BasicBlockImpl::BasicBlockImpl(BlockOptions block_options) : options(std::move(block_options)) {
  BasicBlockImpl::reset();
}

void BasicBlockImpl::reset() {
  constexpr const char* kName = "BasicBlock";
  const int64_t planes = options.planes();
  check_block(kName, options, expansion);
  TORCH_CHECK_VALUE(options.groups() == 1 && options.base_width() == 64 && options.dilation() == 1,
                    kName, ": expected groups 1, base_width 64 and dilation 1, got ",
                    options.groups(), ", ", options.base_width(), " and ", options.dilation());
  const Sequential around = make_downsample(kName, options, planes);
  conv1 = register_module("conv1", conv3x3(kName, options.inplanes(), planes, options));
  bn1 = register_module("bn1", convkit::detail::norm_of(kName, options.norm_layer(), planes));
  relu = register_module("relu", nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
  conv2 = register_module("conv2", conv3x3(kName, planes, planes, BlockOptions(planes, planes)));
  bn2 = register_module("bn2", convkit::detail::norm_of(kName, options.norm_layer(), planes));
  if (around) downsample = register_module("downsample", around);
}

torch::Tensor BasicBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("BasicBlock", x, options.inplanes(),
                               convkit::detail::Batch::kRequired, conv1->weight);
  torch::Tensor y = relu(forward_child(*bn1, conv1(x)));
  y = conv2(y);  // a step at a time: what a step has read is freed before the next
  y = forward_child(*bn2, y);
  y += downsample ? downsample(x) : x;
  return relu(y);
}

BottleneckImpl::BottleneckImpl(BlockOptions block_options) : options(std::move(block_options)) {
  BottleneckImpl::reset();
}

void BottleneckImpl::reset() {
  constexpr const char* kName = "Bottleneck";
  check_block(kName, options, expansion);
  const int64_t out_planes = options.planes() * expansion;
  const auto group_width = static_cast<int64_t>(static_cast<double>(options.planes()) *
                                                (static_cast<double>(options.base_width()) / 64));
  convkit::detail::check_positive(kName, "planes base_width / 64", group_width);
  const int64_t width = group_width * options.groups();
  const Sequential around = make_downsample(kName, options, out_planes);
  conv1 = register_module("conv1", conv1x1(options.inplanes(), width));
  bn1 = register_module("bn1", convkit::detail::norm_of(kName, options.norm_layer(), width));
  conv2 = register_module("conv2", conv3x3(kName, width, width, options));
  bn2 = register_module("bn2", convkit::detail::norm_of(kName, options.norm_layer(), width));
  conv3 = register_module("conv3", conv1x1(width, out_planes));
  bn3 = register_module("bn3", convkit::detail::norm_of(kName, options.norm_layer(), out_planes));
  relu = register_module("relu", nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
  if (around) downsample = register_module("downsample", around);
}

torch::Tensor BottleneckImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("Bottleneck", x, options.inplanes(),
                               convkit::detail::Batch::kRequired, conv1->weight);
  torch::Tensor y = relu(forward_child(*bn1, conv1(x)));
  y = conv2(y);  // a step at a time: what a step has read is freed before the next
  y = relu(forward_child(*bn2, y));
  y = conv3(y);
  y = forward_child(*bn3, y);
  y += downsample ? downsample(x) : x;
  return relu(y);
}

namespace {

struct NamedLayout {
  const char* name;
  Layout layout;
};

constexpr std::array kLayouts = {
    NamedLayout{"resnet18", {Layout::kBasicBlock, {2, 2, 2, 2}}},
    NamedLayout{"resnet34", {Layout::kBasicBlock, {3, 4, 6, 3}}},
    NamedLayout{"resnet50", {Layout::kBottleneck, {3, 4, 6, 3}}},
    NamedLayout{"resnet101", {Layout::kBottleneck, {3, 4, 23, 3}}},
    NamedLayout{"resnet152", {Layout::kBottleneck, {3, 8, 36, 3}}},
    NamedLayout{"resnext50_32x4d", {Layout::kBottleneck, {3, 4, 6, 3}, 32, 4}},
    NamedLayout{"resnext101_32x8d", {Layout::kBottleneck, {3, 4, 23, 3}, 32, 8}},
    NamedLayout{"resnext101_64x4d", {Layout::kBottleneck, {3, 4, 23, 3}, 64, 4}},
    NamedLayout{"wide_resnet50_2", {Layout::kBottleneck, {3, 4, 6, 3}, 1, 128}},
    NamedLayout{"wide_resnet101_2", {Layout::kBottleneck, {3, 4, 23, 3}, 1, 128}},
};

SequentialChild make_block(const Layout& layout, BlockOptions options) {
  options.groups(layout.groups).base_width(layout.width_per_group);
  if (layout.block == Layout::kBasicBlock) return BasicBlock(options);
  return Bottleneck(options);
}

}  // namespace

int64_t Layout::expansion() const {
  TORCH_CHECK_VALUE(block == kBasicBlock || block == kBottleneck,
                    "resnet::Layout: expected one of BlockKind, got ", static_cast<int>(block));
  return block == kBasicBlock ? BasicBlockImpl::expansion : BottleneckImpl::expansion;
}

Layout layout(const std::string& name) {
  for (const NamedLayout& known : kLayouts) {
    if (name == known.name) return known.layout;
  }
  TORCH_CHECK_VALUE(false, "resnet::layout: expected the name of a ResNet, got \"", name, "\"");
}

ResNetImpl::ResNetImpl(const Layout& layout, const ResNetOptions& options)
    : layout(layout), options(options) {
  ResNetImpl::reset();
}

void ResNetImpl::reset() {
  constexpr const char* kName = "ResNet";
  detail::check_num_classes(kName, options.num_classes);
  detail::check_norm_layer(kName, options.norm_layer);
  conv1 = register_module("conv1",
                          nn::Conv2d(nn::Conv2dOptions(3, 64, 7).stride(2).padding(3).bias(false)));
  bn1 = register_module("bn1", convkit::detail::norm_of(kName, options.norm_layer, 64));
  relu = register_module("relu", nn::ReLU(nn::ReLUOptions(/*inplace=*/true)));
  maxpool = register_module("maxpool", nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).padding(1)));

  int64_t inplanes = 64;
  int64_t dilation = 1;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    convkit::detail::check_positive(kName, "layers", layout.layers[i]);
    const int64_t planes = int64_t{64} << i;
    const int64_t out_planes = planes * layout.expansion();
    const bool dilates = i > 0 && options.replace_stride_with_dilation[i - 1];
    const int64_t stride = i == 0 || dilates ? 1 : 2;
    // The first block of a layer that dilates has the dilation of the layer before it.
    const BlockOptions first = BlockOptions(inplanes, planes)
                                   .stride(stride)
                                   .downsample(stride != 1 || inplanes != out_planes)
                                   .dilation(dilation)
                                   .norm_layer(options.norm_layer);
    if (dilates) dilation *= 2;
    const BlockOptions others =
        BlockOptions(out_planes, planes).dilation(dilation).norm_layer(options.norm_layer);
    layers[i] = register_module("layer" + std::to_string(i + 1), Sequential());
    layers[i]->push_back(make_block(layout, first));
    for (int64_t block = 1; block < layout.layers[i]; ++block) {
      layers[i]->push_back(make_block(layout, others));
    }
    inplanes = out_planes;
  }

  // A network without its head draws random numbers for it too, as Python does.
  const nn::Linear head(nn::LinearOptions(inplanes, options.num_classes));
  if (!options.features_only) {
    avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
    fc = register_module("fc", head);
  }
  detail::start_convolutions(*this);
  if (!options.zero_init_residual) return;
  for (const auto& module : modules(/*include_self=*/false)) {
    const auto* basic = module->as<BasicBlock>();
    const auto* bottleneck = module->as<Bottleneck>();
    std::shared_ptr<nn::Module> last;
    if (basic != nullptr) last = basic->bn2;
    if (bottleneck != nullptr) last = bottleneck->bn3;
    if (last == nullptr) continue;
    const torch::NoGradGuard no_grad;
    for (auto tensors : {last->named_parameters(false), last->named_buffers(false)}) {
      if (torch::Tensor* weight = tensors.find("weight")) weight->zero_();
    }
  }
}

torch::Tensor ResNetImpl::forward(const torch::Tensor& x) {
  // Each map lives until the next is there, as in Python: features() would keep all five.
  torch::Tensor y = stem(x);
  y = maxpool(y);
  for (Sequential& layer : layers) y = layer(y);
  if (options.features_only) return y;
  y = avgpool(y).flatten(1);
  return fc(y);
}

std::vector<torch::Tensor> ResNetImpl::features(const torch::Tensor& x) {
  return features(x, 5);
}

std::vector<torch::Tensor> ResNetImpl::features(const torch::Tensor& x, std::size_t depth) {
  TORCH_CHECK_VALUE(depth >= 1 && depth <= 5, "ResNet: expected 1 <= depth <= 5, got ", depth);
  std::vector<torch::Tensor> maps{stem(x)};
  for (std::size_t i = 0; i + 1 < depth; ++i) {
    maps.push_back(layers[i](i == 0 ? maxpool(maps.back()) : maps.back()));
  }
  return maps;
}

torch::Tensor ResNetImpl::stem(const torch::Tensor& x) {
  convkit::detail::check_input("ResNet", x, conv1->options.in_channels(),
                               convkit::detail::Batch::kRequired, conv1->weight);
  return relu(forward_child(*bn1, conv1(x)));
}

}  // namespace resnet

resnet::ResNet resnet18(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnet18"), options);
}
resnet::ResNet resnet34(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnet34"), options);
}
resnet::ResNet resnet50(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnet50"), options);
}
resnet::ResNet resnet101(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnet101"), options);
}
resnet::ResNet resnet152(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnet152"), options);
}
resnet::ResNet resnext50_32x4d(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnext50_32x4d"), options);
}
resnet::ResNet resnext101_32x8d(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnext101_32x8d"), options);
}
resnet::ResNet resnext101_64x4d(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("resnext101_64x4d"), options);
}
resnet::ResNet wide_resnet50_2(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("wide_resnet50_2"), options);
}
resnet::ResNet wide_resnet101_2(const ResNetOptions& options) {
  return resnet::ResNet(resnet::layout("wide_resnet101_2"), options);
}

}  // namespace convkit::models

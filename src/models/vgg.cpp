#include <convkit/models/vgg.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

namespace convkit::models {

namespace nn = torch::nn;

using detail::relu;

namespace vgg {

namespace {

struct NamedLayout {
  const char* name;
  Layout layout;
};

constexpr std::array kLayouts = {
    NamedLayout{"vgg11", {{1, 1, 2, 2, 2}, false}},
    NamedLayout{"vgg11_bn", {{1, 1, 2, 2, 2}, true}},
    NamedLayout{"vgg13", {{2, 2, 2, 2, 2}, false}},
    NamedLayout{"vgg13_bn", {{2, 2, 2, 2, 2}, true}},
    NamedLayout{"vgg16", {{2, 2, 3, 3, 3}, false}},
    NamedLayout{"vgg16_bn", {{2, 2, 3, 3, 3}, true}},
    NamedLayout{"vgg19", {{2, 2, 4, 4, 4}, false}},
    NamedLayout{"vgg19_bn", {{2, 2, 4, 4, 4}, true}},
};

constexpr std::array<int64_t, 5> kChannels = {64, 128, 256, 512, 512};

}  // namespace

Layout layout(const std::string& name) {
  for (const NamedLayout& known : kLayouts) {
    if (name == known.name) return known.layout;
  }
  TORCH_CHECK_VALUE(false, "vgg::layout: expected the name of a VGG, got \"", name, "\"");
}

VGGImpl::VGGImpl(const Layout& layout, const VGGOptions& options)
    : layout(layout), options(options) {
  VGGImpl::reset();
}

void VGGImpl::reset() {
  constexpr const char* kName = "VGG";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  reset_features();
  int64_t in_channels = 3;
  for (std::size_t i = 0; i < kChannels.size(); ++i) {
    convkit::detail::check_positive(kName, "convolutions", layout.convolutions[i]);
    for (int64_t layer = 0; layer < layout.convolutions[i]; ++layer) {
      add_feature(nn::Conv2d(nn::Conv2dOptions(in_channels, kChannels[i], 3).padding(1)));
      if (layout.batch_norm) add_feature(nn::BatchNorm2d(kChannels[i]));
      add_feature(relu());
      in_channels = kChannels[i];
    }
    add_feature(nn::MaxPool2d(nn::MaxPool2dOptions(2).stride(2)), true);
  }
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(7));
  classifier = register_module(
      "classifier", Sequential{nn::Linear(512 * 7 * 7, 4096), relu(), nn::Dropout(options.dropout),
                               nn::Linear(4096, 4096), relu(), nn::Dropout(options.dropout),
                               nn::Linear(4096, options.num_classes)});
  if (!options.init_weights) return;
  detail::start_convolutions(*this);
  detail::start_linears(*this, [](auto& linear) { nn::init::normal_(linear.weight, 0, 0.01); });
}

}  // namespace vgg

vgg::VGG vgg11(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg11"), options);
}
vgg::VGG vgg11_bn(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg11_bn"), options);
}
vgg::VGG vgg13(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg13"), options);
}
vgg::VGG vgg13_bn(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg13_bn"), options);
}
vgg::VGG vgg16(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg16"), options);
}
vgg::VGG vgg16_bn(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg16_bn"), options);
}
vgg::VGG vgg19(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg19"), options);
}
vgg::VGG vgg19_bn(const VGGOptions& options) {
  return vgg::VGG(vgg::layout("vgg19_bn"), options);
}

}  // namespace convkit::models

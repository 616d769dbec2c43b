#include <convkit/models/squeezenet.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/pooling.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace convkit::models {

namespace nn = torch::nn;

using detail::relu;

namespace squeezenet {

FireImpl::FireImpl(int64_t inplanes, int64_t squeeze_planes, int64_t expand1x1_planes,
                   int64_t expand3x3_planes)
    : inplanes(inplanes),
      squeeze_planes(squeeze_planes),
      expand1x1_planes(expand1x1_planes),
      expand3x3_planes(expand3x3_planes) {
  FireImpl::reset();
}

void FireImpl::reset() {
  convkit::detail::check_positive("Fire", "inplanes", inplanes);
  convkit::detail::check_positive("Fire", "squeeze_planes", squeeze_planes);
  convkit::detail::check_positive("Fire", "expand1x1_planes", expand1x1_planes);
  convkit::detail::check_positive("Fire", "expand3x3_planes", expand3x3_planes);
  squeeze = register_module("squeeze", nn::Conv2d(nn::Conv2dOptions(inplanes, squeeze_planes, 1)));
  squeeze_activation = register_module("squeeze_activation", relu());
  expand1x1 = register_module("expand1x1",
                              nn::Conv2d(nn::Conv2dOptions(squeeze_planes, expand1x1_planes, 1)));
  expand1x1_activation = register_module("expand1x1_activation", relu());
  expand3x3 = register_module(
      "expand3x3", nn::Conv2d(nn::Conv2dOptions(squeeze_planes, expand3x3_planes, 3).padding(1)));
  expand3x3_activation = register_module("expand3x3_activation", relu());
}

torch::Tensor FireImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("Fire", x, inplanes, convkit::detail::Batch::kRequired,
                               squeeze->weight);
  const torch::Tensor squeezed = squeeze_activation(squeeze(x));
  const torch::Tensor ones = expand1x1_activation(expand1x1(squeezed));
  return torch::cat({ones, expand3x3_activation(expand3x3(squeezed))}, 1);
}

SqueezeNetImpl::SqueezeNetImpl(std::string version, const SqueezeNetOptions& options)
    : version(std::move(version)), options(options) {
  SqueezeNetImpl::reset();
}

void SqueezeNetImpl::reset() {
  constexpr const char* kName = "SqueezeNet";
  TORCH_CHECK_VALUE(version == "1_0" || version == "1_1", kName,
                    ": expected version 1_0 or 1_1, got ", version);
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_probability(kName, "dropout", options.dropout);
  struct Widths {
    int64_t inplanes, squeeze_planes, expand_planes;
  };
  // Those of version 1_0; 1_1 begins narrower, and has its second and third pool earlier.
  constexpr Widths kFires[] = {{96, 16, 64},   {128, 16, 64},  {128, 32, 128}, {256, 32, 128},
                               {256, 48, 192}, {384, 48, 192}, {384, 64, 256}, {512, 64, 256}};
  const bool old = version == "1_0";
  const std::vector<std::size_t> pools =
      old ? std::vector<std::size_t>{0, 3, 7} : std::vector<std::size_t>{0, 2, 4};
  const int64_t channels = old ? 96 : 64;

  reset_features();
  add_feature(nn::Conv2d(nn::Conv2dOptions(3, channels, old ? 7 : 3).stride(2)), true);
  add_feature(relu());
  for (std::size_t i = 0; i < std::size(kFires); ++i) {
    if (std::find(pools.begin(), pools.end(), i) != pools.end()) {
      add_feature(nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).ceil_mode(true)), true);
    }
    const auto [inplanes, squeeze_planes, expand_planes] = kFires[i];
    add_feature(Fire(i == 0 ? channels : inplanes, squeeze_planes, expand_planes, expand_planes));
  }
  const nn::Conv2d final_conv(nn::Conv2dOptions(512, options.num_classes, 1));
  classifier = register_module("classifier", Sequential{nn::Dropout(options.dropout), final_conv,
                                                        relu(), nn::AdaptiveAvgPool2d(1)});

  for (const auto& module : modules(/*include_self=*/false)) {
    const auto* conv = module->as<nn::Conv2d>();
    if (conv == nullptr) continue;
    if (conv == final_conv.get()) {
      nn::init::normal_(conv->weight, 0, 0.01);
    } else {
      nn::init::kaiming_uniform_(conv->weight);
    }
    nn::init::zeros_(conv->bias);
  }
}

torch::Tensor SqueezeNetImpl::forward(const torch::Tensor& x) {
  return classifier(features_(checked(x))).flatten(1);
}

}  // namespace squeezenet

squeezenet::SqueezeNet squeezenet1_0(const SqueezeNetOptions& options) {
  return squeezenet::SqueezeNet("1_0", options);
}
squeezenet::SqueezeNet squeezenet1_1(const SqueezeNetOptions& options) {
  return squeezenet::SqueezeNet("1_1", options);
}

}  // namespace convkit::models

#include <convkit/attention.h>
#include <convkit/init.h>
#include <convkit/models/regnet.h>

#include "core/check.h"
#include "models/start.h"

#include <torch/nn/init.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

namespace convkit::models {

namespace nn = torch::nn;

namespace regnet {

namespace {

/// As Python's round(): halves go to the even number.
int64_t rounded(double value) {
  return static_cast<int64_t>(std::nearbyint(value));
}

}  // namespace

ResBottleneckBlockImpl::ResBottleneckBlockImpl(BlockOptions block_options)
    : options(std::move(block_options)) {
  ResBottleneckBlockImpl::reset();
}

void ResBottleneckBlockImpl::reset() {
  constexpr const char* kName = "ResBottleneckBlock";
  const int64_t width_in = options.width_in();
  const int64_t width_out = options.width_out();
  const int64_t stride = options.stride();
  convkit::detail::check_positive(kName, "width_in", width_in);
  convkit::detail::check_positive(kName, "width_out", width_out);
  convkit::detail::check_positive(kName, "stride", stride);
  convkit::detail::check_positive(kName, "group_width", options.group_width());
  detail::check_multiplier(kName, "bottleneck_multiplier", options.bottleneck_multiplier());
  detail::check_norm_layer(kName, options.norm_layer());
  TORCH_CHECK_VALUE(options.activation().kind != Activation::kNone, kName,
                    ": expected an activation, got kNone");
  const int64_t width = rounded(static_cast<double>(width_out) * options.bottleneck_multiplier());
  convkit::detail::check_positive(kName, "bottleneck_multiplier width_out", width);
  const auto layer = [this](int64_t in_channels, int64_t out_channels) {
    return Conv2dNormActivationOptions(in_channels, out_channels)
        .kernel_size(1)
        .norm(options.norm_layer())
        .activation(options.activation());
  };
  if (width_in != width_out || stride != 1) {
    proj = register_module(
        "proj", Conv2dNormActivation(
                    layer(width_in, width_out).stride(stride).activation({Activation::kNone})));
  }
  f = register_module("f", Sequential());
  f->push_back({"a", Conv2dNormActivation(layer(width_in, width))});
  f->push_back({"b", Conv2dNormActivation(layer(width, width)
                                              .kernel_size(3)
                                              .stride(stride)
                                              .groups(width / options.group_width()))});
  if (options.se_ratio().value_or(0) != 0) {
    const int64_t squeeze = rounded(*options.se_ratio() * static_cast<double>(width_in));
    f->push_back(
        {"se", SqueezeExcitation(
                   SqueezeExcitationOptions(width, squeeze).activation(options.activation()))});
  }
  f->push_back(
      {"c", Conv2dNormActivation(layer(width, width_out).activation({Activation::kNone}))});
  activation =
      register_module("activation", make_activation(options.activation(), /*inplace=*/true));
}

torch::Tensor ResBottleneckBlockImpl::forward(const torch::Tensor& x) {
  convkit::detail::check_input("ResBottleneckBlock", x, options.width_in(),
                               convkit::detail::Batch::kRequired,
                               f[0]->as<Conv2dNormActivation>()->conv->weight);
  const torch::Tensor around = proj ? proj(x) : x;
  return forward_child(*activation, around + f(x));
}

BlockParams BlockParams::from_init_params(int64_t depth, int64_t w_0, double w_a, double w_m,
                                          int64_t group_width, double bottleneck_multiplier,
                                          std::optional<double> se_ratio) {
  constexpr const char* kName = "BlockParams";
  convkit::detail::check_positive(kName, "depth", depth);
  convkit::detail::check_positive(kName, "group_width", group_width);
  TORCH_CHECK_VALUE(w_a >= 0, kName, ": expected w_a >= 0, got ", w_a);
  TORCH_CHECK_VALUE(w_0 > 0 && w_0 % 8 == 0, kName,
                    ": expected w_0 that is a positive multiple of 8, got ", w_0);
  TORCH_CHECK_VALUE(w_m > 1, kName, ": expected w_m > 1, got ", w_m);
  detail::check_multiplier(kName, "bottleneck_multiplier", bottleneck_multiplier);
  // In float32 and by torch's functions, as in Python: other roundings would give other widths.
  const torch::Tensor widths = torch::arange(depth) * w_a + w_0;
  const torch::Tensor capacity = torch::round(torch::log(widths / w_0) / std::log(w_m));
  const torch::Tensor quantized = torch::round(torch::div(w_0 * torch::pow(w_m, capacity), 8)) * 8;

  BlockParams params{{}, bottleneck_multiplier, se_ratio};
  for (int64_t i = 0; i < depth; ++i) {
    const auto width = static_cast<int64_t>(quantized[i].item<double>());
    if (i > 0 && params.stages.back().width == width) {
      ++params.stages.back().depth;
    } else {
      params.stages.push_back({width, 1, group_width});
    }
  }
  for (Stage& stage : params.stages) {
    const auto inside =
        static_cast<int64_t>(static_cast<double>(stage.width) * bottleneck_multiplier);
    stage.group_width = std::min(group_width, inside);
    const int64_t fitting = make_divisible(static_cast<double>(inside), stage.group_width);
    stage.width = static_cast<int64_t>(static_cast<double>(fitting) / bottleneck_multiplier);
  }
  return params;
}

BlockParams block_params(const std::string& name) {
  struct Known {
    const char* name;
    int64_t depth, w_0;
    double w_a, w_m;
    int64_t group_width;
  };
  constexpr Known kKnown[] = {
      {"regnet_x_400mf", 22, 24, 24.48, 2.54, 16},   {"regnet_x_800mf", 16, 56, 35.73, 2.28, 16},
      {"regnet_x_1_6gf", 18, 80, 34.01, 2.25, 24},   {"regnet_x_3_2gf", 25, 88, 26.31, 2.25, 48},
      {"regnet_x_8gf", 23, 80, 49.56, 2.88, 120},    {"regnet_x_16gf", 22, 216, 55.59, 2.1, 128},
      {"regnet_x_32gf", 23, 320, 69.86, 2.0, 168},   {"regnet_y_400mf", 16, 48, 27.89, 2.09, 8},
      {"regnet_y_800mf", 14, 56, 38.84, 2.4, 16},    {"regnet_y_1_6gf", 27, 48, 20.71, 2.65, 24},
      {"regnet_y_3_2gf", 21, 80, 42.63, 2.66, 24},   {"regnet_y_8gf", 17, 192, 76.82, 2.19, 56},
      {"regnet_y_16gf", 18, 200, 106.23, 2.48, 112}, {"regnet_y_32gf", 20, 232, 115.89, 2.53, 232},
      {"regnet_y_128gf", 27, 456, 160.83, 2.52, 264}};
  for (const Known& known : kKnown) {
    if (name != known.name) continue;
    const bool squeezes = name.starts_with("regnet_y");
    return BlockParams::from_init_params(known.depth, known.w_0, known.w_a, known.w_m,
                                         known.group_width, 1,
                                         squeezes ? std::optional(0.25) : std::nullopt);
  }
  TORCH_CHECK_VALUE(false, "regnet::block_params: expected the name of a RegNet, got \"", name,
                    "\"");
}

RegNetImpl::RegNetImpl(BlockParams block_params, const RegNetOptions& options)
    : block_params(std::move(block_params)), options(options) {
  RegNetImpl::reset();
}

void RegNetImpl::reset() {
  constexpr const char* kName = "RegNet";
  detail::check_num_classes(kName, options.num_classes);
  convkit::detail::check_positive(kName, "stem_width", options.stem_width);
  TORCH_CHECK_VALUE(!block_params.stages.empty(), kName, ": expected at least one stage, got none");
  stem = register_module("stem",
                         Conv2dNormActivation(Conv2dNormActivationOptions(3, options.stem_width)
                                                  .stride(2)
                                                  .norm(options.norm_layer)
                                                  .activation(options.activation)));
  trunk_output = register_module("trunk_output", Sequential());
  int64_t width_in = options.stem_width;
  for (std::size_t i = 0; i < block_params.stages.size(); ++i) {
    const Stage& stage = block_params.stages[i];
    convkit::detail::check_positive(kName, "depth", stage.depth);
    const std::string name = "block" + std::to_string(i + 1);
    Sequential blocks;
    for (int64_t block = 0; block < stage.depth; ++block) {
      const auto options_of_block = BlockOptions(width_in, stage.width, block == 0 ? 2 : 1)
                                        .group_width(stage.group_width)
                                        .bottleneck_multiplier(block_params.bottleneck_multiplier)
                                        .se_ratio(block_params.se_ratio)
                                        .norm_layer(options.norm_layer)
                                        .activation(options.activation);
      blocks->push_back({name + "-" + std::to_string(block), ResBottleneckBlock(options_of_block)});
      width_in = stage.width;
    }
    trunk_output->push_back({name, blocks});
  }
  avgpool = register_module("avgpool", nn::AdaptiveAvgPool2d(1));
  fc = register_module("fc", nn::Linear(width_in, options.num_classes));

  for (const auto& module : modules(/*include_self=*/false)) {
    const auto* conv = module->as<nn::Conv2d>();
    if (conv == nullptr) continue;
    const torch::Tensor& weight = conv->weight;
    const auto fan_out = static_cast<double>(weight.size(0) * weight.size(2) * weight.size(3));
    nn::init::normal_(weight, 0, std::sqrt(2.0 / fan_out));
  }
  detail::start_linears(*this, [](auto& linear) { nn::init::normal_(linear.weight, 0, 0.01); });
}

torch::Tensor RegNetImpl::forward(const torch::Tensor& x) {
  detail::check_image_for("RegNet", *stem, x);
  const torch::Tensor y = trunk_output(stem(x));
  return fc(avgpool(y).flatten(1));
}

std::vector<torch::Tensor> RegNetImpl::features(const torch::Tensor& x) {
  detail::check_image_for("RegNet", *stem, x);
  std::vector<torch::Tensor> maps{stem(x)};
  for (std::size_t i = 0; i < trunk_output->size(); ++i) {
    maps.push_back(forward_child(*trunk_output[i], maps.back()));
  }
  return maps;
}

}  // namespace regnet

regnet::RegNet regnet_x_400mf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_400mf"), options);
}
regnet::RegNet regnet_x_800mf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_800mf"), options);
}
regnet::RegNet regnet_x_1_6gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_1_6gf"), options);
}
regnet::RegNet regnet_x_3_2gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_3_2gf"), options);
}
regnet::RegNet regnet_x_8gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_8gf"), options);
}
regnet::RegNet regnet_x_16gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_16gf"), options);
}
regnet::RegNet regnet_x_32gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_x_32gf"), options);
}
regnet::RegNet regnet_y_400mf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_400mf"), options);
}
regnet::RegNet regnet_y_800mf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_800mf"), options);
}
regnet::RegNet regnet_y_1_6gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_1_6gf"), options);
}
regnet::RegNet regnet_y_3_2gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_3_2gf"), options);
}
regnet::RegNet regnet_y_8gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_8gf"), options);
}
regnet::RegNet regnet_y_16gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_16gf"), options);
}
regnet::RegNet regnet_y_32gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_32gf"), options);
}
regnet::RegNet regnet_y_128gf(const RegNetOptions& options) {
  return regnet::RegNet(regnet::block_params("regnet_y_128gf"), options);
}

}  // namespace convkit::models

#include <convkit/models.h>

#include "core/nearest.h"
#include "models/descriptions.h"

#include <functional>
#include <utility>

namespace convkit::models {

namespace {

struct Builder {
  std::string name;
  std::function<Network(const CreateOptions&)> build;
};

template <typename Holder, typename Options>
Builder builder(const char* name, Holder (*function)(const Options&)) {
  return {name, [function](const CreateOptions& given) {
            Options options;
            options.num_classes = given.num_classes.value_or(options.num_classes);
            return Network(function(options));
          }};
}

const std::vector<Builder>& builders() {
  static const std::vector<Builder> table = [] {
    std::vector<Builder> result = {
        builder("alexnet", alexnet),
        builder("vgg11", vgg11),
        builder("vgg11_bn", vgg11_bn),
        builder("vgg13", vgg13),
        builder("vgg13_bn", vgg13_bn),
        builder("vgg16", vgg16),
        builder("vgg16_bn", vgg16_bn),
        builder("vgg19", vgg19),
        builder("vgg19_bn", vgg19_bn),
        builder("squeezenet1_0", squeezenet1_0),
        builder("squeezenet1_1", squeezenet1_1),
        builder("googlenet", googlenet),
        builder("inception_v3", inception_v3),
        builder("resnet18", resnet18),
        builder("resnet34", resnet34),
        builder("resnet50", resnet50),
        builder("resnet101", resnet101),
        builder("resnet152", resnet152),
        builder("resnext50_32x4d", resnext50_32x4d),
        builder("resnext101_32x8d", resnext101_32x8d),
        builder("resnext101_64x4d", resnext101_64x4d),
        builder("wide_resnet50_2", wide_resnet50_2),
        builder("wide_resnet101_2", wide_resnet101_2),
        builder("densenet121", densenet121),
        builder("densenet161", densenet161),
        builder("densenet169", densenet169),
        builder("densenet201", densenet201),
        builder("mobilenetv1_100", mobilenetv1_100),
        builder("mobilenet_v2", mobilenet_v2),
        builder("mobilenet_v3_large", mobilenet_v3_large),
        builder("mobilenet_v3_small", mobilenet_v3_small),
        builder("shufflenet_v2_x0_5", shufflenet_v2_x0_5),
        builder("shufflenet_v2_x1_0", shufflenet_v2_x1_0),
        builder("shufflenet_v2_x1_5", shufflenet_v2_x1_5),
        builder("shufflenet_v2_x2_0", shufflenet_v2_x2_0),
        builder("mnasnet0_5", mnasnet0_5),
        builder("mnasnet0_75", mnasnet0_75),
        builder("mnasnet1_0", mnasnet1_0),
        builder("mnasnet1_3", mnasnet1_3),
        builder("efficientnet_b0", efficientnet_b0),
        builder("efficientnet_b1", efficientnet_b1),
        builder("efficientnet_b2", efficientnet_b2),
        builder("efficientnet_b3", efficientnet_b3),
        builder("efficientnet_b4", efficientnet_b4),
        builder("efficientnet_b5", efficientnet_b5),
        builder("efficientnet_b6", efficientnet_b6),
        builder("efficientnet_b7", efficientnet_b7),
        builder("efficientnet_v2_s", efficientnet_v2_s),
        builder("efficientnet_v2_m", efficientnet_v2_m),
        builder("efficientnet_v2_l", efficientnet_v2_l),
        builder("regnet_x_400mf", regnet_x_400mf),
        builder("regnet_x_800mf", regnet_x_800mf),
        builder("regnet_x_1_6gf", regnet_x_1_6gf),
        builder("regnet_x_3_2gf", regnet_x_3_2gf),
        builder("regnet_x_8gf", regnet_x_8gf),
        builder("regnet_x_16gf", regnet_x_16gf),
        builder("regnet_x_32gf", regnet_x_32gf),
        builder("regnet_y_400mf", regnet_y_400mf),
        builder("regnet_y_800mf", regnet_y_800mf),
        builder("regnet_y_1_6gf", regnet_y_1_6gf),
        builder("regnet_y_3_2gf", regnet_y_3_2gf),
        builder("regnet_y_8gf", regnet_y_8gf),
        builder("regnet_y_16gf", regnet_y_16gf),
        builder("regnet_y_32gf", regnet_y_32gf),
        builder("regnet_y_128gf", regnet_y_128gf),
        builder("convnext_tiny", convnext_tiny),
        builder("convnext_small", convnext_small),
        builder("convnext_base", convnext_base),
        builder("convnext_large", convnext_large),
        builder("legacy_xception", legacy_xception),
        builder("fcn_resnet50", fcn_resnet50),
        builder("fcn_resnet101", fcn_resnet101),
        builder("deeplabv3_resnet50", deeplabv3_resnet50),
        builder("deeplabv3_resnet101", deeplabv3_resnet101),
        builder("deeplabv3_mobilenet_v3_large", deeplabv3_mobilenet_v3_large),
        builder("lraspp_mobilenet_v3_large", lraspp_mobilenet_v3_large),
        builder("r3d_18", video::r3d_18),
        builder("mc3_18", video::mc3_18),
        builder("r2plus1d_18", video::r2plus1d_18),
        builder("s3d", video::s3d),
    };
    for (const std::string& encoder : unet::encoder_names()) {
      result.push_back({"unet_" + encoder, [encoder](const CreateOptions& given) {
                          unet::UnetOptions options;
                          options.encoder_name = encoder;
                          options.classes = given.num_classes.value_or(options.classes);
                          return Network(unet::Unet(options));
                        }});
    }
    return result;
  }();
  return table;
}

/// Throws, with the three names nearest to one that there is not.
[[noreturn]] void refuse(const char* function, const std::string& name) {
  TORCH_CHECK_VALUE(false, function, ": expected the name of a network, got \"", name,
                    "\"; the nearest are ", convkit::detail::nearest_names(name, names()));
}

}  // namespace

torch::Tensor Network::operator()(const torch::Tensor& x) {
  return forward_child(*get(), x);
}

MultiHead::Outputs Network::outputs(const torch::Tensor& x) {
  if (auto* network = dynamic_cast<MultiHead*>(get())) return network->outputs(x);
  MultiHead::Outputs outputs;
  outputs.insert("out", (*this)(x));
  return outputs;
}

std::vector<torch::Tensor> Network::features(const torch::Tensor& x) {
  auto* backbone = dynamic_cast<Backbone*>(get());
  TORCH_CHECK_TYPE(backbone != nullptr, "Network: expected one that has features, got ",
                   get()->name());
  return backbone->features(x);
}

std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const Builder& known : builders()) result.push_back(known.name);
  return result;
}

Network create(const std::string& name, const CreateOptions& options) {
  for (const Builder& known : builders()) {
    if (known.name == name) return known.build(options);
  }
  refuse("models::create", name);
}

std::string PublishedWeights::file() const {
  return url.substr(url.rfind('/') + 1);
}

std::string PublishedWeights::sha256() const {
  const std::string stem = file().substr(0, file().rfind('.'));
  const std::string last = stem.substr(stem.rfind('-') + 1);
  const bool is_hash = last.size() >= 8 && last.size() < stem.size() &&
                       last.find_first_not_of("0123456789abcdef") == std::string::npos;
  return is_hash ? last : "";
}

Description describe(const std::string& name) {
  for (const Description& known : descriptions()) {
    if (known.name == name) return known;
  }
  refuse("models::describe", name);
}

}  // namespace convkit::models

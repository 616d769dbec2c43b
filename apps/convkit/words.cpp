#include "words.h"

#include <algorithm>
#include <array>

namespace draw {
namespace {

constexpr Words kWords[] = {
    {"Add", "+", ""},
    {"Sub", "−", ""},
    {"Mul", "×", ""},
    {"Div", "÷", ""},
    {"Cat", "concat", ""},
    {"Relu", "relu", "ReLU"},
    {"Hardtanh", "relu6", "ReLU6"},
    {"Hardswish", "hardswish", "Hardswish"},
    {"Hardsigmoid", "hardsigmoid", "Hardsigmoid"},
    {"Silu", "silu", "SiLU"},
    {"Sigmoid", "sigmoid", "Sigmoid"},
    {"Gelu", "gelu", "GELU"},
    {"MaxPool2DWithIndices", "max pool", "MaxPool2d"},
    {"MaxPool3DWithIndices", "max pool", "MaxPool3d"},
    {"AvgPool2D", "average pool", "AvgPool2d"},
    {"AvgPool3D", "average pool", "AvgPool3d"},
    {"AdaptiveAvgPool2D", "average pool", "AdaptiveAvgPool2d"},
    {"AdaptiveAvgPool3D", "average pool", "AdaptiveAvgPool3d"},
    {"Mean", "mean", "AdaptiveAvgPool2d"},
    {"UpsampleNearest2D", "enlarge", "Upsample"},
    {"UpsampleBilinear2D", "enlarge", "Upsample"},
    {"PixelShuffle", "pixel shuffle", "PixelShuffle"},
    {"ConstantPadNd", "pad", "ZeroPad2d"},
    {"NativeBatchNorm", "batch norm", "BatchNorm2d"},
    {"NativeLayerNorm", "layer norm", "LayerNorm"},
    {"Split", "split", ""},
    {"View", "reshape", "Flatten"},
    {"UnsafeView", "reshape", "Flatten"},
    {"ReshapeAlias", "reshape", "Flatten"},
    {"AsStrided", "reshape", ""},
    {"Clone", "reshape", ""},
    {"Transpose", "reshape", ""},
    {"Permute", "reshape", ""},
    {"Squeeze", "reshape", ""},
    {"Unsqueeze", "reshape", ""},
};

}  // namespace

const Words* known_words(const std::string& name) {
  for (const Words& words : kWords) {
    if (words.name == name) return &words;
  }
  return nullptr;
}

Kind kind_of(const std::string& type) {
  const auto has = [&](std::string_view word) { return type.find(word) != std::string::npos; };
  constexpr std::array<std::string_view, 17> kActivations = {
      "ReLU", "ReLU6", "Hardswish", "Hardsigmoid", "SiLU",  "Sigmoid",
      "GELU", "Tanh",  "ELU",       "LeakyReLU",   "PReLU", "Softmax",
      "Mish", "SELU",  "CELU",      "Softplus",    "Swish"};
  if (std::find(kActivations.begin(), kActivations.end(), type) != kActivations.end()) {
    return Kind::kActivation;
  }
  constexpr std::array<std::string_view, 8> kConvolutions = {
      "Conv1d",          "Conv2d",          "Conv3d",     "ConvTranspose1d",
      "ConvTranspose2d", "ConvTranspose3d", "Conv2dSame", "SameConv2d"};
  if (std::find(kConvolutions.begin(), kConvolutions.end(), type) != kConvolutions.end()) {
    return Kind::kConvolution;
  }
  if (has("Pool")) return Kind::kPooling;
  if (type.ends_with("Norm") || type.ends_with("Norm1d") || type.ends_with("Norm2d") ||
      type.ends_with("Norm3d")) {
    return Kind::kNorm;
  }
  return type.ends_with("Linear") ? Kind::kLinear : Kind::kModule;
}

}  // namespace draw

#pragma once

#include <convkit/transforms.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace convkit::models {

/// What an image goes through before a network that was trained by others: resize, center_crop,
/// to_tensor, normalize.
///
///     torch::Tensor logits = net(models::preset("resnet18")(image).unsqueeze(0));
struct CONVKIT_API Preset {
  /// What the network is for.
  enum class Kind { kClassification, kSegmentation, kVideo };

  std::string weights;  ///< the set's name: "IMAGENET1K_V1"
  Kind kind = Kind::kClassification;
  std::vector<int64_t> resize_size;  ///< {shorter side} or {height, width}
  std::vector<int64_t> crop_size;    ///< {side} or {height, width}, or empty: nothing is cropped
  transforms::Interpolation interpolation = transforms::Interpolation::kBilinear;
  std::vector<double> mean;
  std::vector<double> std;

  /// The network's input, in float32. `way` is that of transforms::resize(): by default a uint8
  /// image is taken for Pillow's. Videos have the tensor's way alone.
  ///
  /// Shape:   image [..., 3, H, W] -> [..., 3, H', W']; a video [..., T, 3, H, W] ->
  ///          [..., 3, T, H', W']
  /// Throws:  c10::ValueError for an image that is neither uint8 nor floating point, or has other
  ///          sizes; for a video in Pillow's way.
  /// Source:  weights.transforms() of torchvision, and timm.data.create_transform
  torch::Tensor operator()(const torch::Tensor& image,
                           std::optional<transforms::Way> way = {}) const;
};

/// The preset of a network's published weights: by default that of Python's default ones.
///
/// Throws:  c10::ValueError for a network without one, and for weights that it does not have.
/// Source:  torchvision.models.get_model_weights, timm.get_pretrained_cfg
CONVKIT_API Preset preset(const std::string& network, const std::string& weights = "DEFAULT");

/// Those of all weights that Python has for a network, the default ones first: of torchvision's and
/// timm's networks. Empty for one without, such as smp's Unet, whose weights are of encoders alone.
CONVKIT_API std::vector<Preset> presets(const std::string& network);

}  // namespace convkit::models

#include "photograph.h"

#include "../cli.h"
#include "core/nearest.h"

#include <convkit/image.h>
#include <convkit/presets.h>

#include <algorithm>

namespace tool {
namespace {

using convkit::models::Preset;

/// A shorter side of 1 becomes one of 256, and the longer side grows as much.
void check_size(const torch::Tensor& image, const Preset& preset, const std::string& file) {
  if (preset.resize_size.size() != 1) return;
  const auto height = static_cast<double>(image.size(1));
  const auto width = static_cast<double>(image.size(2));
  const double scale = static_cast<double>(preset.resize_size[0]) / std::min(height, width);
  constexpr int64_t kMost = convkit::ReadImageOptions{}.max_pixels;
  TORCH_CHECK(height * scale * width * scale <= static_cast<double>(kMost),
              "--image: expected an image of which the preset makes at most ", kMost,
              " pixels, got ", cli::printable(file), " of ", image.size(2), " x ", image.size(1));
}

torch::Tensor as_pixels(const torch::Tensor& input, const Preset& preset) {
  const torch::Tensor mean = torch::tensor(preset.mean, torch::kFloat).view({-1, 1, 1});
  const torch::Tensor std = torch::tensor(preset.std, torch::kFloat).view({-1, 1, 1});
  return ((input * std + mean).clamp(0, 1) * 255).round().to(torch::kByte);
}

}  // namespace

void add_photograph_flags(CLI::App& command, PhotographFlags& flags) {
  command.add_option("--image", flags.image, "A JPEG, PNG or PPM file")->required();
  command
      .add_option("--preset", flags.preset,
                  "Prepare the image for these weights of Python's, as in IMAGENET1K_V1")
      ->capture_default_str();
}

Photograph prepare(const PhotographFlags& flags, const std::string& model) {
  const Preset preset = convkit::models::preset(model, flags.preset);
  TORCH_CHECK_VALUE(preset.kind != Preset::Kind::kVideo,
                    "MODEL: expected a network of images, got ", model, ", which is one of videos");
  const torch::Tensor image = convkit::read_image(flags.image);
  check_size(image, preset, flags.image);
  const torch::Tensor input = preset(image);
  return {.input = input.unsqueeze(0), .pixels = as_pixels(input, preset)};
}

void refuse_layer(const std::string& expected, const std::string& layer,
                  const std::vector<std::string>& known) {
  TORCH_CHECK_VALUE(false, "--layer: expected ", expected, ", got ", cli::printable(layer),
                    "; the nearest are ", convkit::detail::nearest_names(layer, known));
}

}  // namespace tool

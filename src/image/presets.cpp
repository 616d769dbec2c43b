#include <convkit/presets.h>

#include "image/preset_rows.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace convkit::models {

using torch::Tensor;
using transforms::Interpolation;
using transforms::Way;

namespace {

using Numbers = std::vector<double>;

std::pair<Numbers, Numbers> mean_and_std(const PresetRow& row) {
  switch (row.statistics) {
    case PresetRow::kImageNet:
      return {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
    case PresetRow::kHalf:
      return {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}};
    case PresetRow::kFeatures:
      return {{0.48235, 0.45882, 0.40784}, {1.0 / 255, 1.0 / 255, 1.0 / 255}};
    case PresetRow::kKinetics:
      return {{0.43216, 0.394666, 0.37645}, {0.22803, 0.22145, 0.216989}};
  }
  return {};
}

/// torchvision's presets resize by its first version of transforms, which has no kernels of uint8.
Tensor resize_in_float(const Tensor& image, const std::vector<int64_t>& size,
                       const transforms::ResizeOptions& options) {
  if (image.scalar_type() != torch::kByte) return transforms::resize(image, size, options);
  Tensor x = transforms::resize(image.to(torch::kFloat), size, options);
  if (options.interpolation == Interpolation::kBicubic) x = x.clamp(0, 255);
  return x.round().to(torch::kByte);
}

/// normalize(to_tensor(image)), looked up: a channel has 256 values.
Tensor normalized_bytes(const Tensor& image, const Preset& preset) {
  const Tensor bytes = at::arange(256, torch::kByte).expand({3, 1, 256});
  const Tensor table =
      transforms::normalize(transforms::to_tensor(bytes), preset.mean, preset.std).contiguous();
  const Tensor from = image.contiguous();
  Tensor to = at::empty(from.sizes(), torch::kFloat);
  const auto* values = table.const_data_ptr<float>();
  const auto* pixels = from.const_data_ptr<uint8_t>();
  auto* results = to.mutable_data_ptr<float>();
  const int64_t width = from.size(-1);
  const int64_t plane = from.size(-2) * width;
  const int64_t rows = from.numel() / std::max<int64_t>(width, 1);
  at::parallel_for(0, rows, (int64_t{1} << 15) / std::max<int64_t>(width, 1) + 1,
                   [&](int64_t begin, int64_t end) {
                     for (int64_t row = begin; row < end; ++row) {
                       const float* own = values + row * width / plane % 3 * 256;
                       for (int64_t i = row * width; i < (row + 1) * width; ++i) {
                         results[i] = own[pixels[i]];
                       }
                     }
                   });
  return to;
}

}  // namespace

Tensor Preset::operator()(const Tensor& image, std::optional<Way> way) const {
  const bool video = kind == Kind::kVideo;
  TORCH_CHECK_VALUE(image.defined(), "Preset: expected an image, got an undefined tensor");
  TORCH_CHECK_VALUE(image.dim() >= (video ? 4 : 3) && image.size(-3) == 3, "Preset: expected ",
                    video ? "a video [..., T, 3, H, W]" : "an image [..., 3, H, W]", ", got ",
                    image.sizes());
  const bool bytes = image.scalar_type() == torch::kByte;
  TORCH_CHECK_VALUE(bytes || image.is_floating_point(),
                    "Preset: expected an image of type Byte or of floating point, got ",
                    image.scalar_type());
  TORCH_CHECK_VALUE(!video || way != Way::kPillow,
                    "Preset: expected Way::kTensor for a video, got Way::kPillow");
  const bool pillow = !video && way.value_or(bytes ? Way::kPillow : Way::kTensor) == Way::kPillow;
  const transforms::ResizeOptions options{.interpolation = interpolation,
                                          .antialias = !video,
                                          .way = pillow ? Way::kPillow : Way::kTensor};
  // torchvision flattens videos to a batch of images first.
  Tensor x = video ? image.reshape({-1, 3, image.size(-2), image.size(-1)}) : image;
  x = pillow ? transforms::resize(x, resize_size, options)
             : resize_in_float(x, resize_size, options);
  if (!crop_size.empty()) x = transforms::center_crop(x, crop_size);
  if (bytes && x.is_cpu()) {
    x = normalized_bytes(x, *this);
  } else {
    x = transforms::normalize(bytes ? transforms::to_tensor(x) : x.to(torch::kFloat), mean, std);
  }
  if (!video) return x;
  std::vector<int64_t> sizes = image.sizes().vec();
  sizes[sizes.size() - 2] = x.size(-2);
  sizes[sizes.size() - 1] = x.size(-1);
  return x.view(sizes).transpose(-4, -3);
}

std::vector<Preset> presets(const std::string& network) {
  std::vector<Preset> found;
  for (const PresetRow& row : preset_rows()) {
    if (row.network != network) continue;
    auto [mean, std] = mean_and_std(row);
    found.push_back({.weights = row.weights,
                     .kind = row.kind,
                     .resize_size = row.resize_size,
                     .crop_size = row.crop_size,
                     .interpolation = row.interpolation,
                     .mean = std::move(mean),
                     .std = std::move(std)});
  }
  return found;
}

Preset preset(const std::string& network, const std::string& weights) {
  const std::vector<Preset> every = presets(network);
  TORCH_CHECK_VALUE(!every.empty(), "preset: expected a network with published weights, got \"",
                    network, "\"; models::names() lists the networks");
  std::string known;
  for (const Preset& one : every) {
    if (weights == "DEFAULT" || weights == one.weights) return one;
    known += (known.empty() ? "" : ", ") + one.weights;
  }
  TORCH_CHECK_VALUE(false, "preset: expected weights of ", network, " (DEFAULT, ", known,
                    "), got \"", weights, "\"");
}

}  // namespace convkit::models

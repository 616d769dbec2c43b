#include <convkit/init.h>
#include <convkit/upsample.h>

#include "core/check.h"

#include <torch/nn/functional/upsampling.h>
#include <torch/nn/init.h>

#include <array>
#include <optional>

namespace convkit {

namespace nn = torch::nn;

namespace {

const char* mode_name(UpsampleMode mode) {
  constexpr std::array names{"transposed", "nearest", "nearest-exact",
                             "bilinear",   "bicubic", "pixel-shuffle"};
  const auto index = static_cast<std::size_t>(mode);
  return index < names.size() ? names[index] : "an unknown mode";
}

/// Resizes x. The kernels get the `scale`, where it is known, as Python passes it: they need not
/// divide.
torch::Tensor interpolate(const torch::Tensor& x, torch::IntArrayRef size, UpsampleMode mode,
                          std::optional<double> scale = std::nullopt) {
  switch (mode) {
    case UpsampleMode::kNearest:
      return at::upsample_nearest2d(x, size, scale, scale);
    case UpsampleMode::kNearestExact:
      return at::_upsample_nearest_exact2d(x, size, scale, scale);
    case UpsampleMode::kBilinear:
      return at::upsample_bilinear2d(x, size, /*align_corners=*/false, scale, scale);
    case UpsampleMode::kBicubic:
      return at::upsample_bicubic2d(x, size, /*align_corners=*/false, scale, scale);
    case UpsampleMode::kTransposed:
    case UpsampleMode::kPixelShuffle:
      break;
  }
  TORCH_CHECK_VALUE(false, "upsample_like: expected a mode that interpolates, got ",
                    mode_name(mode));
}

}  // namespace

UpsamplerImpl::UpsamplerImpl(UpsamplerOptions upsampler_options)
    : options(std::move(upsampler_options)) {
  UpsamplerImpl::reset();
}

void UpsamplerImpl::reset() {
  constexpr auto name = "Upsampler";
  const int64_t scale = options.scale_factor();
  detail::check_positive(name, "out_channels", options.out_channels());
  detail::check_positive(name, "scale_factor", scale);
  detail::check_positive(name, "2 * scale_factor", 2 * scale);  // the largest kernel_size
  TORCH_CHECK_VALUE(
      options.mode() >= UpsampleMode::kTransposed && options.mode() <= UpsampleMode::kPixelShuffle,
      "Upsampler: expected a mode of UpsampleMode, got ", static_cast<int>(options.mode()));
  if (options.mode() == UpsampleMode::kTransposed) {
    // ceil((scale - 1) / 2) is scale / 2 in integers.
    const auto conv_options =
        nn::ConvTranspose2dOptions(options.in_channels(), options.out_channels(),
                                   2 * scale - scale % 2)
            .stride(scale)
            .padding(scale / 2)
            .bias(options.bias());
    conv_transpose =
        register_module("conv", nn::ConvTranspose2d(detail::checked(name, conv_options)));
    return;
  }

  const bool shuffles = options.mode() == UpsampleMode::kPixelShuffle;
  int64_t conv_channels = options.out_channels();
  if (shuffles) {
    detail::check_positive(name, "scale_factor^2", scale * scale);
    conv_channels *= scale * scale;
    detail::check_positive(name, "out_channels * scale_factor^2", conv_channels);
  }
  const auto conv_options =
      nn::Conv2dOptions(options.in_channels(), conv_channels, 3).padding(1).bias(options.bias());
  conv = register_module("conv", nn::Conv2d(detail::checked(name, conv_options)));
  if (shuffles) {
    icnr_(conv->weight, scale);
    if (options.bias()) nn::init::zeros_(conv->bias);
  }
}

torch::Tensor UpsamplerImpl::forward(const torch::Tensor& x) {
  detail::check_input("Upsampler", x, options.in_channels(), detail::Batch::kRequired,
                      conv ? conv->weight : conv_transpose->weight);
  const int64_t scale = options.scale_factor();
  switch (options.mode()) {
    case UpsampleMode::kTransposed:
      return conv_transpose(x);
    case UpsampleMode::kPixelShuffle:
      return at::pixel_shuffle(conv(x), scale);
    default:
      return conv(interpolate(x, {scale * x.size(2), scale * x.size(3)}, options.mode(),
                              static_cast<double>(scale)));
  }
}

void UpsamplerImpl::pretty_print(std::ostream& stream) const {
  stream << name() << "(scale_factor=" << options.scale_factor()
         << ", mode=" << mode_name(options.mode()) << ')';
}

UpsampleImpl::UpsampleImpl(UpsampleOptions upsample_options)
    : options(std::move(upsample_options)) {
  UpsampleImpl::reset();
}

void UpsampleImpl::reset() {
  TORCH_CHECK_VALUE(options.size().empty() != options.scale_factor().empty(),
                    "Upsample: expected either a size or a scale_factor, got ",
                    options.size().empty() ? "none" : "both");
  for (const int64_t size : options.size()) detail::check_positive("Upsample", "size", size);
  for (const double scale : options.scale_factor()) {
    TORCH_CHECK_VALUE(scale > 0, "Upsample: expected scale_factor > 0, got ", scale);
  }
}

torch::Tensor UpsampleImpl::forward(const torch::Tensor& x) {
  TORCH_CHECK_VALUE(x.defined() && x.dim() >= 3 && x.dim() <= 5,
                    "Upsample: expected input of 3, 4 or 5 dimensions, got ",
                    x.defined() ? c10::str(x.sizes()) : "an undefined tensor");
  const auto axes = static_cast<std::size_t>(x.dim() - 2);
  const auto for_each_axis = [&](auto numbers, const char* name) {
    if (numbers.size() == 1) numbers.resize(axes, numbers[0]);
    TORCH_CHECK_VALUE(numbers.size() == axes, "Upsample: expected a ", name, " of ", axes,
                      " numbers for an input ", x.sizes(), ", got ", numbers.size());
    return numbers;
  };
  auto function = nn::functional::InterpolateFuncOptions().mode(options.mode());
  if (options.size().empty()) {
    function.scale_factor(for_each_axis(options.scale_factor(), "scale_factor"));
  } else {
    function.size(for_each_axis(options.size(), "size"));
  }
  // LibTorch warns where these are not said.
  function.align_corners(options.align_corners());
  if (!std::holds_alternative<torch::enumtype::kNearest>(options.mode()) &&
      !std::holds_alternative<torch::enumtype::kArea>(options.mode())) {
    function.align_corners(options.align_corners().value_or(false));
  }
  function.recompute_scale_factor(options.recompute_scale_factor());
  return nn::functional::interpolate(x, function);
}

void UpsampleImpl::pretty_print(std::ostream& stream) const {
  stream << name() << '(';
  if (options.size().empty()) {
    stream << "scale_factor=" << torch::ArrayRef<double>(options.scale_factor());
  } else {
    stream << "size=" << torch::IntArrayRef(options.size());
  }
  stream << ", mode=" << torch::enumtype::get_enum_name(options.mode()) << ')';
}

torch::Tensor upsample_like(const torch::Tensor& x, const torch::Tensor& reference,
                            UpsampleMode mode) {
  detail::check_image("upsample_like", x, detail::Batch::kRequired);
  TORCH_CHECK_VALUE(reference.defined() && reference.dim() >= 2,
                    "upsample_like: expected a reference [..., H, W], got ",
                    reference.defined() ? c10::str(reference.sizes()) : "an undefined tensor");
  for (const torch::Tensor& image : {x, reference}) {
    TORCH_CHECK_VALUE(image.size(-2) >= 1 && image.size(-1) >= 1,
                      "upsample_like: expected a height and width >= 1, got ", image.sizes());
  }
  return interpolate(x, {reference.size(-2), reference.size(-1)}, mode);
}

}  // namespace convkit

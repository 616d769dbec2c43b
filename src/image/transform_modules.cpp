#include <convkit/transform_modules.h>

#include "image/image_checks.h"
#include "image/image_types.h"
#include "image/random_draws.h"
#include "image/sides.h"

#include <ATen/core/TensorBody.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace convkit::transforms {

using torch::Tensor;

namespace {

std::optional<at::Generator> generator() {
  return GeneratorScope::current();
}

/// The arguments of a module between parentheses, lists as LibTorch prints them.
class Arguments {
 public:
  Arguments(std::ostream& stream, const std::string& name) : stream_(stream) {
    stream_ << name << '(';
  }
  ~Arguments() { stream_ << ')'; }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  template <typename T>
  Arguments& add(const char* name, const T& value) {
    stream_ << separator_ << name << '=' << value;
    separator_ = ", ";
    return *this;
  }
  /// One that is left out where it is empty, or as Python's default has it.
  template <typename T>
  Arguments& add_if(bool given, const char* name, const T& value) {
    return given ? add(name, value) : *this;
  }

 private:
  std::ostream& stream_;
  const char* separator_ = "";
};

template <typename List>
c10::ArrayRef<typename List::value_type> listed(const List& list) {
  return list;
}

const char* text(bool value) {
  return value ? "true" : "false";
}

}  // namespace

constinit thread_local const GeneratorScope* GeneratorScope::innermost_ = nullptr;

GeneratorScope::GeneratorScope(std::optional<at::Generator> generator)
    : generator_(std::move(generator)), outer_(innermost_) {
  innermost_ = this;
}

GeneratorScope::~GeneratorScope() {
  innermost_ = outer_;
}

std::optional<at::Generator> GeneratorScope::current() {
  return innermost_ == nullptr ? std::nullopt : innermost_->generator_;
}

ResizeImpl::ResizeImpl(c10::IntArrayRef size, ResizeOptions options)
    : size(size.vec()), options(options) {
  ResizeImpl::reset();
}

void ResizeImpl::reset() {
  detail::check_size("Resize", size);
  detail::check_max_size("Resize", size, options.max_size);
}

Tensor ResizeImpl::forward(const Tensor& image) {
  return resize(image, size, options);
}

void ResizeImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name())
      .add("size", listed(size))
      .add("interpolation", detail::name_of(options.interpolation))
      .add_if(options.max_size.has_value(), "max_size", options.max_size.value_or(0))
      .add("antialias", text(options.antialias));
}

CenterCropImpl::CenterCropImpl(c10::IntArrayRef size) : size(size.vec()) {
  CenterCropImpl::reset();
}

void CenterCropImpl::reset() {
  detail::check_size("CenterCrop", size);
}

Tensor CenterCropImpl::forward(const Tensor& image) {
  return center_crop(image, size);
}

void CenterCropImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("size", listed(size));
}

PadImpl::PadImpl(c10::IntArrayRef padding, PadOptions options)
    : padding(padding.vec()), options(std::move(options)) {
  PadImpl::reset();
}

void PadImpl::reset() {
  detail::sides_of_padding("Pad", padding);
  detail::check_fill_count("Pad", options.fill, options.padding_mode);
}

Tensor PadImpl::forward(const Tensor& image) {
  return pad(image, padding, options);
}

void PadImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name())
      .add("padding", listed(padding))
      .add("fill", listed(options.fill))
      .add("padding_mode", detail::name_of(options.padding_mode));
}

RandomCropImpl::RandomCropImpl(c10::IntArrayRef size, RandomCropOptions options)
    : size(size.vec()), options(std::move(options)) {
  RandomCropImpl::reset();
}

void RandomCropImpl::reset() {
  detail::check_size("RandomCrop", size);
  if (!options.padding.empty()) detail::sides_of_padding("RandomCrop", options.padding);
  if (!options.padding.empty() || options.pad_if_needed) {
    detail::check_fill_count("RandomCrop", options.fill, options.padding_mode);
  }
}

Tensor RandomCropImpl::forward(const Tensor& image) {
  return random_crop(image, size, options, generator());
}

void RandomCropImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name())
      .add("size", listed(size))
      .add_if(!options.padding.empty(), "padding", listed(options.padding))
      .add("pad_if_needed", text(options.pad_if_needed))
      .add("fill", listed(options.fill))
      .add("padding_mode", detail::name_of(options.padding_mode));
}

RandomResizedCropImpl::RandomResizedCropImpl(c10::IntArrayRef size,
                                             RandomResizedCropOptions options)
    : size(size.vec()), options(options) {
  RandomResizedCropImpl::reset();
}

void RandomResizedCropImpl::reset() {
  detail::check_size("RandomResizedCrop", size);
  detail::check_area("RandomResizedCrop", options.scale, options.ratio);
}

Tensor RandomResizedCropImpl::forward(const Tensor& image) {
  return random_resized_crop(image, size, options, generator());
}

void RandomResizedCropImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name())
      .add("size", listed(size))
      .add("scale", listed(options.scale))
      .add("ratio", listed(options.ratio))
      .add("interpolation", detail::name_of(options.interpolation))
      .add("antialias", text(options.antialias));
}

RandomHorizontalFlipImpl::RandomHorizontalFlipImpl(double p) : p(p) {
  RandomHorizontalFlipImpl::reset();
}

void RandomHorizontalFlipImpl::reset() {
  detail::check_p("RandomHorizontalFlip", p);
}

Tensor RandomHorizontalFlipImpl::forward(const Tensor& image) {
  return random_horizontal_flip(image, p, generator());
}

void RandomHorizontalFlipImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("p", p);
}

RandomVerticalFlipImpl::RandomVerticalFlipImpl(double p) : p(p) {
  RandomVerticalFlipImpl::reset();
}

void RandomVerticalFlipImpl::reset() {
  detail::check_p("RandomVerticalFlip", p);
}

Tensor RandomVerticalFlipImpl::forward(const Tensor& image) {
  return random_vertical_flip(image, p, generator());
}

void RandomVerticalFlipImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("p", p);
}

GrayscaleImpl::GrayscaleImpl(int64_t num_output_channels, std::optional<Way> way)
    : num_output_channels(num_output_channels), way(way) {
  GrayscaleImpl::reset();
}

void GrayscaleImpl::reset() {
  TORCH_CHECK_VALUE(num_output_channels == 1 || num_output_channels == 3,
                    "Grayscale: expected num_output_channels 1 or 3, got ", num_output_channels);
}

Tensor GrayscaleImpl::forward(const Tensor& image) {
  return rgb_to_grayscale(image, num_output_channels, way);
}

void GrayscaleImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("num_output_channels", num_output_channels);
}

RandomGrayscaleImpl::RandomGrayscaleImpl(double p, std::optional<Way> way) : p(p), way(way) {
  RandomGrayscaleImpl::reset();
}

void RandomGrayscaleImpl::reset() {
  detail::check_p("RandomGrayscale", p);
}

Tensor RandomGrayscaleImpl::forward(const Tensor& image) {
  return random_grayscale(image, p, generator(), way);
}

void RandomGrayscaleImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("p", p);
}

ColorJitterImpl::ColorJitterImpl(ColorJitterOptions options) : options(std::move(options)) {
  ColorJitterImpl::reset();
}

void ColorJitterImpl::reset() {
  detail::ranges_of("ColorJitter", options);
}

Tensor ColorJitterImpl::forward(const Tensor& image) {
  return color_jitter(image, options, generator());
}

void ColorJitterImpl::pretty_print(std::ostream& stream) const {
  const auto ranges = detail::ranges_of("ColorJitter", options);
  const std::array names{"brightness", "contrast", "saturation", "hue"};
  Arguments arguments(stream, name());
  for (std::size_t i = 0; i < 4; ++i) {
    if (ranges[i]) arguments.add(names[i], listed(*ranges[i]));
  }
}

GaussianBlurImpl::GaussianBlurImpl(c10::IntArrayRef kernel_size, std::array<double, 2> sigma)
    : kernel_size(kernel_size.vec()), sigma(sigma) {
  GaussianBlurImpl::reset();
}

void GaussianBlurImpl::reset() {
  detail::sides_of_kernel("GaussianBlur", kernel_size);
  detail::check_sigma("GaussianBlur", sigma);
}

Tensor GaussianBlurImpl::forward(const Tensor& image) {
  return random_gaussian_blur(image, kernel_size, sigma, generator());
}

void GaussianBlurImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("kernel_size", listed(kernel_size)).add("sigma", listed(sigma));
}

RandomErasingImpl::RandomErasingImpl(RandomErasingOptions options) : options(std::move(options)) {
  RandomErasingImpl::reset();
}

void RandomErasingImpl::reset() {
  detail::check_p("RandomErasing", options.p);
  detail::check_area("RandomErasing", options.scale, options.ratio, 1);
}

Tensor RandomErasingImpl::forward(const Tensor& image) {
  return random_erasing(image, options, generator());
}

void RandomErasingImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name())
      .add("p", options.p)
      .add("scale", listed(options.scale))
      .add("ratio", listed(options.ratio))
      .add("value", listed(options.value));
}

Tensor ToTensorImpl::forward(const Tensor& image) {
  return to_tensor(image);
}

ToDtypeImpl::ToDtypeImpl(torch::Dtype dtype, bool scale) : dtype(dtype), scale(scale) {
  ToDtypeImpl::reset();
}

void ToDtypeImpl::reset() {
  detail::check_type("ToDtype", dtype);
}

Tensor ToDtypeImpl::forward(const Tensor& image) {
  return to_dtype(image, dtype, scale);
}

void ToDtypeImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("dtype", dtype).add("scale", text(scale));
}

NormalizeImpl::NormalizeImpl(c10::ArrayRef<double> mean, c10::ArrayRef<double> std)
    : mean(mean.vec()), std(std.vec()) {
  NormalizeImpl::reset();
}

void NormalizeImpl::reset() {
  const auto fits = [&](std::size_t count) {
    return count == 1 || (count > 0 && count == std::max(mean.size(), std.size()));
  };
  TORCH_CHECK_VALUE(fits(mean.size()) && fits(std.size()),
                    "Normalize: expected 1 number of mean and std or one for each channel, got ",
                    mean.size(), " and ", std.size());
  for (const double number : std) {
    TORCH_CHECK_VALUE(number != 0, "Normalize: expected std other than 0, got ", listed(std));
  }
}

Tensor NormalizeImpl::forward(const Tensor& image) {
  return normalize(image, mean, std);
}

void NormalizeImpl::pretty_print(std::ostream& stream) const {
  Arguments(stream, name()).add("mean", listed(mean)).add("std", listed(std));
}

}  // namespace convkit::transforms

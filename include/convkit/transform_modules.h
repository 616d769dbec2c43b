#pragma once

#include <convkit/random_color.h>
#include <convkit/random_transforms.h>

#include <ATen/core/Generator.h>
#include <c10/util/ArrayRef.h>

#include <array>
#include <cstdint>
#include <optional>
#include <ostream>
#include <vector>

/// The functions of transforms.h, color.h, random_transforms.h and random_color.h as modules, so that
/// torchvision's Compose is a Sequential:
///
///     namespace T = convkit::transforms;
///     convkit::Sequential augment{T::RandomResizedCrop(224), T::RandomHorizontalFlip(),
///                                 T::ColorJitter(T::ColorJitterOptions{.brightness = {0.4}}),
///                                 T::ToTensor(), T::Normalize(mean, std)};
///     torch::Tensor x = augment(image);
///
/// Each takes the arguments of its function, and forward(image) calls that. What needs no image is
/// checked when the module is made, and the rest in forward. Their draws are those of
/// torchvision.transforms.v2, from LibTorch's default generator, or from a GeneratorScope's. They have
/// no parameters, do the same in training as in evaluation, and may run on several threads at once.
namespace convkit::transforms {

/// For as long as it lives, the modules of this header draw from its generator on this thread, or from
/// the default one if it has none. Where scopes are nested, the innermost counts. The workers of a
/// DataLoader have one, so that a dataset's get() needs none:
///
///     const T::GeneratorScope scope(generator);
///     torch::Tensor x = augment(image);
class CONVKIT_API GeneratorScope {
 public:
  explicit GeneratorScope(std::optional<at::Generator> generator);
  ~GeneratorScope();
  GeneratorScope(const GeneratorScope&) = delete;
  GeneratorScope& operator=(const GeneratorScope&) = delete;

  /// What a random module of your own draws from: none is the default generator.
  static std::optional<at::Generator> current();

 private:
  std::optional<at::Generator> generator_;
  const GeneratorScope* const outer_;

  static constinit thread_local const GeneratorScope* innermost_;
};

/// resize().
///
/// Throws:  c10::ValueError for a size that resize() refuses, and for such a max_size.
/// Source:  torchvision.transforms.v2.Resize
class CONVKIT_API ResizeImpl : public Block<ResizeImpl> {
 public:
  explicit ResizeImpl(c10::IntArrayRef size, ResizeOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<int64_t> size;
  ResizeOptions options;
};
CONVKIT_MODULE(Resize);

/// center_crop().
///
/// Throws:  c10::ValueError for a size that center_crop() refuses.
/// Source:  torchvision.transforms.v2.CenterCrop
class CONVKIT_API CenterCropImpl : public Block<CenterCropImpl> {
 public:
  explicit CenterCropImpl(c10::IntArrayRef size);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<int64_t> size;
};
CONVKIT_MODULE(CenterCrop);

/// pad().
///
/// Throws:  c10::ValueError for padding that pad() refuses, and for a fill without numbers.
/// Source:  torchvision.transforms.v2.Pad
class CONVKIT_API PadImpl : public Block<PadImpl> {
 public:
  explicit PadImpl(c10::IntArrayRef padding, PadOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<int64_t> padding;
  PadOptions options;
};
CONVKIT_MODULE(Pad);

/// random_crop().
///
/// Throws:  c10::ValueError for a size or padding that random_crop() refuses for any image.
/// Source:  torchvision.transforms.v2.RandomCrop
class CONVKIT_API RandomCropImpl : public Block<RandomCropImpl> {
 public:
  explicit RandomCropImpl(c10::IntArrayRef size, RandomCropOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<int64_t> size;
  RandomCropOptions options;
};
CONVKIT_MODULE(RandomCrop);

/// random_resized_crop().
///
/// Throws:  c10::ValueError for a size, scale or ratio that random_resized_crop() refuses.
/// Source:  torchvision.transforms.v2.RandomResizedCrop
class CONVKIT_API RandomResizedCropImpl : public Block<RandomResizedCropImpl> {
 public:
  explicit RandomResizedCropImpl(c10::IntArrayRef size, RandomResizedCropOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<int64_t> size;
  RandomResizedCropOptions options;
};
CONVKIT_MODULE(RandomResizedCrop);

/// random_horizontal_flip().
///
/// Throws:  c10::ValueError for a p outside of 0 to 1.
/// Source:  torchvision.transforms.v2.RandomHorizontalFlip
class CONVKIT_API RandomHorizontalFlipImpl : public Block<RandomHorizontalFlipImpl> {
 public:
  explicit RandomHorizontalFlipImpl(double p = 0.5);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  double p;
};
CONVKIT_MODULE(RandomHorizontalFlip);

/// random_vertical_flip().
///
/// Throws:  c10::ValueError for a p outside of 0 to 1.
/// Source:  torchvision.transforms.v2.RandomVerticalFlip
class CONVKIT_API RandomVerticalFlipImpl : public Block<RandomVerticalFlipImpl> {
 public:
  explicit RandomVerticalFlipImpl(double p = 0.5);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  double p;
};
CONVKIT_MODULE(RandomVerticalFlip);

/// rgb_to_grayscale().
///
/// Throws:  c10::ValueError for num_output_channels other than 1 and 3.
/// Source:  torchvision.transforms.v2.Grayscale
class CONVKIT_API GrayscaleImpl : public Block<GrayscaleImpl> {
 public:
  explicit GrayscaleImpl(int64_t num_output_channels = 1, std::optional<Way> way = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  int64_t num_output_channels;
  std::optional<Way> way;
};
CONVKIT_MODULE(Grayscale);

/// random_grayscale().
///
/// Throws:  c10::ValueError for a p outside of 0 to 1.
/// Source:  torchvision.transforms.v2.RandomGrayscale
class CONVKIT_API RandomGrayscaleImpl : public Block<RandomGrayscaleImpl> {
 public:
  explicit RandomGrayscaleImpl(double p = 0.1, std::optional<Way> way = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  double p;
  std::optional<Way> way;
};
CONVKIT_MODULE(RandomGrayscale);

/// color_jitter().
///
/// Throws:  c10::ValueError for ranges that color_jitter() refuses.
/// Source:  torchvision.transforms.v2.ColorJitter
class CONVKIT_API ColorJitterImpl : public Block<ColorJitterImpl> {
 public:
  explicit ColorJitterImpl(ColorJitterOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  ColorJitterOptions options;
};
CONVKIT_MODULE(ColorJitter);

/// random_gaussian_blur().
///
/// Throws:  c10::ValueError for a kernel_size or sigma that random_gaussian_blur() refuses for any image.
/// Source:  torchvision.transforms.v2.GaussianBlur
class CONVKIT_API GaussianBlurImpl : public Block<GaussianBlurImpl> {
 public:
  explicit GaussianBlurImpl(c10::IntArrayRef kernel_size, std::array<double, 2> sigma = {0.1, 2});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<int64_t> kernel_size;
  std::array<double, 2> sigma;
};
CONVKIT_MODULE(GaussianBlur);

/// random_erasing().
///
/// Throws:  c10::ValueError for a p, scale or ratio that random_erasing() refuses.
/// Source:  torchvision.transforms.v2.RandomErasing
class CONVKIT_API RandomErasingImpl : public Block<RandomErasingImpl> {
 public:
  explicit RandomErasingImpl(RandomErasingOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  RandomErasingOptions options;
};
CONVKIT_MODULE(RandomErasing);

/// to_tensor().
///
/// Source:  torchvision.transforms.v2.ToTensor
/// Differs: what is a tensor in Python, and stays as it is there, is an image of uint8 here.
class CONVKIT_API ToTensorImpl : public Block<ToTensorImpl> {
 public:
  ToTensorImpl() = default;

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& image) override;
};
CONVKIT_MODULE(ToTensor);

/// to_dtype().
///
/// Throws:  c10::ValueError for a type that to_dtype() refuses for any image.
/// Source:  torchvision.transforms.v2.ToDtype
class CONVKIT_API ToDtypeImpl : public Block<ToDtypeImpl> {
 public:
  explicit ToDtypeImpl(torch::Dtype dtype, bool scale = false);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  torch::Dtype dtype;
  bool scale;
};
CONVKIT_MODULE(ToDtype);

/// normalize().
///
/// Throws:  c10::ValueError for a std of 0, and for counts of numbers that fit no image.
/// Source:  torchvision.transforms.v2.Normalize
class CONVKIT_API NormalizeImpl : public Block<NormalizeImpl> {
 public:
  NormalizeImpl(c10::ArrayRef<double> mean, c10::ArrayRef<double> std);

  void reset() override;
  torch::Tensor forward(const torch::Tensor& image) override;
  void pretty_print(std::ostream& stream) const override;

  std::vector<double> mean;
  std::vector<double> std;
};
CONVKIT_MODULE(Normalize);

}  // namespace convkit::transforms

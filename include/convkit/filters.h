#pragma once

#include <convkit/module.h>

#include <torch/expanding_array.h>
#include <torch/nn/options/padding.h>

#include <cstdint>
#include <numbers>
#include <optional>
#include <ostream>

/// Fixed kernels, float32 [height, width], for `filter2d`. As everywhere in PyTorch they are
/// applied as they stand, by cross-correlation: they are not flipped.
///
/// Throws:  c10::ValueError for a size that is even, below 1 (for derivatives below 3) or above
///          int32, and for a sigma, gamma or lambda that is not positive and finite.
namespace convkit {

/// The direction of a derivative: kX answers to vertical edges, kY to horizontal ones.
enum class Axis { kX, kY };

/// First derivative along one axis, binomial smoothing along the other, up to 31x31.
///
/// Source:  kornia.filters.get_sobel_kernel2d for 3; cv2.getDerivKernels for every odd size
CONVKIT_API torch::Tensor sobel_kernel(Axis axis, int64_t kernel_size = 3);

/// 3x3 derivative with the smoothing (3, 10, 3), of better rotational symmetry than Sobel's.
///
/// Source:  cv2.getDerivKernels with ksize = FILTER_SCHARR
CONVKIT_API torch::Tensor scharr_kernel(Axis axis);

/// Ones, and 1 - kernel_size^2 in the middle: the sum of the second derivatives.
///
/// Source:  kornia.filters.get_laplacian_kernel2d
CONVKIT_API torch::Tensor laplacian_kernel(int64_t kernel_size = 3);

/// exp(-y^2 / (2 sigma_y^2)) exp(-x^2 / (2 sigma_x^2)), its sum 1. Sizes and sigmas: {y, x}.
///
/// Source:  kornia.filters.get_gaussian_kernel2d
CONVKIT_API torch::Tensor gaussian_kernel(torch::ExpandingArray<2> kernel_size,
                                          torch::ExpandingArray<2, double> sigma);

/// 1 / (height width) everywhere: the mean of a region.
///
/// Source:  kornia.filters.get_box_kernel2d
CONVKIT_API torch::Tensor box_kernel(torch::ExpandingArray<2> kernel_size);

/// A wave under a Gaussian; see gabor_kernel.
struct Gabor {
  int64_t kernel_size;
  double sigma;                       ///< of the Gaussian, in pixels
  double theta = 0;                   ///< direction of the wave, in radians
  double lambda = 4;                  ///< wavelength, in pixels
  double gamma = 1;                   ///< sigma across the wave is sigma / gamma
  double psi = std::numbers::pi / 2;  ///< phase at the centre, in radians
};

/// exp(-(u^2 + gamma^2 v^2) / (2 sigma^2)) cos(2 pi u / lambda + psi), for a texture of one
/// direction and scale, where u = x cos(theta) + y sin(theta) and v = -x sin(theta) + y cos(theta)
/// count from the centre, right to left and bottom to top.
///
/// Source:  cv2.getGaborKernel, computed in double and rounded to float32
CONVKIT_API torch::Tensor gabor_kernel(const Gabor& gabor);

/// Applies a kernel [height, width] to each channel of x on its own, keeping the size: `border`
/// says what lies outside the image, by the names of torch::nn::functional::pad.
///
/// Shape:   x [N, C, H, W] -> [N, C, H, W]
/// Throws:  c10::ValueError for another rank of x or the kernel, an empty kernel, and an x that is
///          not floating point; c10::Error where a reflection or a circle is longer than the image.
/// Source:  kornia.filters.filter2d with padding="same"
/// Differs: kornia converts integers to float32, and takes a kernel for each image.
CONVKIT_API torch::Tensor filter2d(
    const torch::Tensor& x, const torch::Tensor& kernel,
    torch::nn::functional::PadFuncOptions::mode_t border = torch::kReflect);

/// Options of BlurPool2d.
struct CONVKIT_API BlurPool2dOptions {
  using pad_mode_t = torch::nn::functional::PadFuncOptions::mode_t;

  /// By default it takes any number of channels.
  TORCH_ARG(std::optional<int64_t>, channels) = std::nullopt;
  TORCH_ARG(int64_t, filt_size) = 3;
  TORCH_ARG(int64_t, stride) = 2;
  TORCH_ARG(pad_mode_t, pad_mode) = torch::kReflect;
};

/// Blurs with the binomial filter of filt_size, then takes every stride-th pixel: downsampling
/// without aliasing.
///
/// Shape:   x [N, C, H, W] -> y [N, C, H', W'], H' = floor((H + 2 p - filt_size) / stride) + 1,
///          p = floor((stride + filt_size - 2) / 2)
/// Keys:    none: `filt` is a non-persistent buffer (torch::save, which knows none, writes it)
/// Throws:  c10::ValueError for channels or a stride below 1 or above int32, a filt_size below 2 or
///          above 64, and for an input of another rank, channel count, type or device.
/// Source:  timm.layers.BlurPool2d; https://arxiv.org/abs/1904.11486
class CONVKIT_API BlurPool2dImpl : public Block<BlurPool2dImpl> {
 public:
  explicit BlurPool2dImpl(BlurPool2dOptions options = {});

  void reset() override;
  torch::Tensor forward(const torch::Tensor& x) override;
  void pretty_print(std::ostream& stream) const override;

  BlurPool2dOptions options;
  torch::Tensor filt;
};
CONVKIT_MODULE(BlurPool2d);

}  // namespace convkit

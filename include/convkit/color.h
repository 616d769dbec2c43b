#pragma once

#include <convkit/transforms.h>

#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <optional>

/// What torchvision.transforms does with the colors of images. An image is a tensor [..., C, H, W].
///
///     namespace T = convkit::transforms;
///     torch::Tensor x = T::adjust_hue(T::adjust_contrast(image, 1.5), 0.1);
///
/// Where torchvision gives other colors for an image of Pillow's than for a tensor of the same pixels,
/// `way` says which: none is Pillow's for uint8, and the tensor's for others. In Pillow's way all of
/// them throw c10::ValueError for an image that is not of type uint8, not on the cpu, or has neither 1
/// nor 3 channels. Types are those of images: uint8, signed integers, and floating point from 0 to 1.
/// int32 and int64 are computed in float32, which rounds their white up to a number that they do not have.
/// What should become white is thus any number, mostly the least one, as it is in torchvision.
namespace convkit::transforms {

/// The brightness of each pixel, in 1 or 3 equal channels.
///
/// Shape:   image [..., 1 or 3, H, W] -> [..., num_output_channels, H, W]
/// Throws:  c10::ValueError for another count of channels, of the image or of the output.
/// Source:  torchvision.transforms.v2.functional.rgb_to_grayscale
CONVKIT_API torch::Tensor rgb_to_grayscale(const torch::Tensor& image,
                                           int64_t num_output_channels = 1,
                                           std::optional<Way> way = {});

/// factor * image, within the range of its type.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of channels, and for a factor below 0.
/// Source:  torchvision.transforms.v2.functional.adjust_brightness
CONVKIT_API torch::Tensor adjust_brightness(const torch::Tensor& image, double factor);

/// factor * image + (1 - factor) * the mean of its grayscale, within the range of its type.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of channels, and for a factor below 0 or one that the image's
///          floating point, or float32 for whole numbers, does not have.
/// Source:  torchvision.transforms.v2.functional.adjust_contrast
/// Differs: a factor below 0 is refused in Pillow's way, too.
CONVKIT_API torch::Tensor adjust_contrast(const torch::Tensor& image, double factor,
                                          std::optional<Way> way = {});

/// factor * image + (1 - factor) * its grayscale, within the range of its type. An image of one channel
/// is given back.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of channels, and for a factor below 0 or one that the image's
///          floating point, or float32 for whole numbers, does not have.
/// Source:  torchvision.transforms.v2.functional.adjust_saturation
/// Differs: a factor below 0 is refused in Pillow's way, too.
CONVKIT_API torch::Tensor adjust_saturation(const torch::Tensor& image, double factor,
                                            std::optional<Way> way = {});

/// The image with its hues turned by `factor` of the circle. An image of one channel is given back.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of channels, for a factor outside of -0.5 to 0.5, and for
///          an image of int32 or int64.
/// Source:  torchvision.transforms.v2.functional.adjust_hue
CONVKIT_API torch::Tensor adjust_hue(const torch::Tensor& image, double factor,
                                     std::optional<Way> way = {});

/// The negative: the largest number of the type, less the image.
///
/// Shape:   image of any sizes -> as the image
/// Throws:  c10::ValueError for an image of bool.
/// Source:  torchvision.transforms.v2.functional.invert
CONVKIT_API torch::Tensor invert(const torch::Tensor& image);

/// The image with the highest `bits` of each number alone; floating point has 2^bits levels below 1.
///
/// Shape:   image of any sizes -> as the image
/// Throws:  c10::ValueError for bits outside of 0 to 8, and for an image of bool.
/// Source:  torchvision.transforms.v2.functional.posterize
/// Differs: an image of Pillow's may have 0 bits.
CONVKIT_API torch::Tensor posterize(const torch::Tensor& image, int64_t bits);

/// The image, inverted where it is not below the threshold.
///
/// Shape:   image of any sizes -> as the image
/// Throws:  c10::ValueError for a threshold above the largest number of the type, and for an image of
///          bool.
/// Source:  torchvision.transforms.v2.functional.solarize
/// Differs: the threshold is rounded to float32 for an image of Pillow's, too, and not above 255.
CONVKIT_API torch::Tensor solarize(const torch::Tensor& image, double threshold);

/// Each channel, stretched to the whole range of its type.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of channels.
/// Source:  torchvision.transforms.v2.functional.autocontrast
CONVKIT_API torch::Tensor autocontrast(const torch::Tensor& image, std::optional<Way> way = {});

/// Each channel, mapped so that of 256 levels all are equally frequent.
///
/// Shape:   image [..., H, W] -> as the image
/// Throws:  c10::ValueError for an image of bool.
/// Source:  torchvision.transforms.v2.functional.equalize
CONVKIT_API torch::Tensor equalize(const torch::Tensor& image);

/// factor * image + (1 - factor) * the image smoothed by a filter of 3 x 3 pixels, but for its border.
///
/// Shape:   image [..., 1 or 3, H, W] -> as the image
/// Throws:  c10::ValueError for another count of channels, and for a factor below 0 or one that the image's
///          floating point, or float32 for whole numbers, does not have.
/// Source:  torchvision.transforms.v2.functional.adjust_sharpness
/// Differs: a factor below 0 is refused in Pillow's way, too.
CONVKIT_API torch::Tensor adjust_sharpness(const torch::Tensor& image, double factor,
                                           std::optional<Way> way = {});

/// gain * image^gamma, where white is 1.
///
/// Shape:   image [..., C, H, W] -> as the image
/// Throws:  c10::ValueError for a gamma below 0, and in the tensor's way for an image of int32 or int64, and
///          for a gamma that an image of half precision does not have.
/// Source:  torchvision.transforms.v2.functional.adjust_gamma
CONVKIT_API torch::Tensor adjust_gamma(const torch::Tensor& image, double gamma, double gain = 1,
                                       std::optional<Way> way = {});

/// The image, mirrored at its border and filtered by a Gaussian of kernel_size pixels, {side} or
/// {width, height}, and sigma of {both} or {width, height}: none is 0.15 * kernel_size + 0.35.
///
/// Shape:   image [..., C, H, W] -> as the image
/// Throws:  c10::ValueError for another count of numbers; for sides that are not odd and positive, or
///          reach beyond the mirrored image; for a sigma that is not above 0; for complex numbers.
/// Source:  torchvision.transforms.v2.functional.gaussian_blur
CONVKIT_API torch::Tensor gaussian_blur(const torch::Tensor& image, c10::IntArrayRef kernel_size,
                                        c10::ArrayRef<double> sigma = {});

}  // namespace convkit::transforms

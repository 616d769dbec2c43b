#pragma once

#include <convkit/sample.h>
#include <convkit/transforms.h>

#include <torch/types.h>

#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <optional>

namespace convkit::detail {

/// What every transform holds its arguments to; `dims` is 2 where channels do not matter.
void check_image(const char* name, const torch::Tensor& image, int64_t dims = 3);
void check_size(const char* name, c10::IntArrayRef size);
void check_sample(const char* name, const transforms::Sample& sample);
void check_region(const transforms::Region& region);

/// Refuses an image of these sides, and else as the given one, that no tensor has.
void check_result(const char* name, const torch::Tensor& image, int64_t height, int64_t width);

/// The number that an image of the type is filled with: whole numbers lose their fraction, as Pillow has it.
double checked_fill(const char* name, double fill, torch::Dtype dtype);

/// Refuses no fill at all, where one is needed.
void check_fill_count(const char* name, c10::ArrayRef<double> fill, transforms::PaddingMode mode);

/// As torchvision calls them.
const char* name_of(transforms::Interpolation interpolation);
const char* name_of(transforms::PaddingMode mode);

/// Whether the image is one of Pillow's, which are held to what those can be: of 1 or 3 channels, and
/// with `alpha` of 2 or 4 too.
bool is_pillow(const char* name, const torch::Tensor& image, std::optional<transforms::Way> way,
               bool alpha = false);

}  // namespace convkit::detail

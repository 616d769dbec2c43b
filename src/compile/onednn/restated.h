#pragma once

#include "compile/engines/alternatives.h"
#include "compile/onednn/program.h"

/// The same convolution in other words.
namespace convkit::detail {

/// The layout of an image [N, C, H, W] whose turned image is in channels_last.
Sizes turned_strides(const Sizes& sizes);

/// An image in turned_strides() as the turned one, [N, C, W, H], in channels_last.
Slot turned(const Slot& image);

/// The convolution of turned images.
Convolution turned(const Convolution& convolution);

/// The linear layer that a 1x1 convolution is for each pixel, or one that sees_all() is for each image, with
/// the numbers of an image in the order of channels_last.
Convolution as_linear(const Convolution& convolution, const Geometry& geometry);

}  // namespace convkit::detail

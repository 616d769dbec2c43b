#pragma once

#include "image/raw_image.h"

#include <torch/types.h>

#include <string>

namespace convkit::detail {

/// Throws c10::ValueError for a mode that images are not converted to.
void check_mode(const char* name, const std::string& mode);

/// The pixels [bands, H, W] of an image in a mode, "" for its own, by the rules of Pillow's
/// Image.convert(). Throws c10::Error for an image that cannot be in that mode.
torch::Tensor in_mode(const RawImage& image, const std::string& mode);

}  // namespace convkit::detail

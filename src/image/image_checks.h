#pragma once

#include <convkit/sample.h>
#include <convkit/transforms.h>

#include <torch/types.h>

#include <c10/util/ArrayRef.h>

#include <cstdint>

namespace convkit::detail {

/// What every transform holds its arguments to; `dims` is 2 where channels do not matter.
void check_image(const char* name, const torch::Tensor& image, int64_t dims = 3);
void check_size(const char* name, c10::IntArrayRef size);
void check_sample(const char* name, const transforms::Sample& sample);
void check_region(const transforms::Region& region);

}  // namespace convkit::detail

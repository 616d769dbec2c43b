#include "core/strides.h"

#include <ATen/ops/empty_strided.h>

#include <algorithm>
#include <utility>

namespace convkit::detail {

namespace {

/// Stride and size of each dimension of more than one element, from the innermost one on.
std::vector<std::pair<int64_t, int64_t>> by_stride(c10::IntArrayRef sizes,
                                                   c10::IntArrayRef strides) {
  std::vector<std::pair<int64_t, int64_t>> dimensions;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1) dimensions.emplace_back(strides[i], sizes[i]);
  }
  std::sort(dimensions.begin(), dimensions.end());
  return dimensions;
}

bool is_empty(c10::IntArrayRef sizes) {
  return std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
}

}  // namespace

int64_t element_count(c10::IntArrayRef sizes) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return count;
}

Sizes row_strides(c10::IntArrayRef sizes) {
  Sizes strides(sizes.size(), 1);
  for (std::size_t i = sizes.size(); i-- > 1;) {
    strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  }
  return strides;
}

Sizes channels_last_strides(c10::IntArrayRef sizes) {
  const int64_t channels = sizes.at(1);
  return {channels * sizes.at(2) * sizes.at(3), 1, sizes.at(3) * channels, channels};
}

Sizes computing_strides(c10::IntArrayRef sizes) {
  return sizes.size() == 4 ? channels_last_strides(sizes) : row_strides(sizes);
}

bool same_layout(c10::IntArrayRef sizes, c10::IntArrayRef a, c10::IntArrayRef b) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1 && a.at(i) != b.at(i)) return false;
  }
  return true;
}

bool is_dense(c10::IntArrayRef sizes, c10::IntArrayRef strides) {
  int64_t expected = 1;
  for (const auto& [stride, size] : by_stride(sizes, strides)) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

Sizes dense_or_rows(c10::IntArrayRef sizes, c10::IntArrayRef strides) {
  return is_dense(sizes, strides) ? strides.vec() : row_strides(sizes);
}

bool may_overlap(c10::IntArrayRef sizes, c10::IntArrayRef strides) {
  if (is_empty(sizes)) return false;
  int64_t reached = 1;
  for (const auto& [stride, size] : by_stride(sizes, strides)) {
    if (stride < reached) return true;
    reached += stride * (size - 1);
  }
  return false;
}

int64_t extent(c10::IntArrayRef sizes, c10::IntArrayRef strides) {
  if (is_empty(sizes)) return 0;
  int64_t last = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) last += (sizes[i] - 1) * strides.at(i);
  return last + 1;
}

at::Tensor copy_with_strides(const at::Tensor& tensor) {
  const at::Tensor given = tensor.detach();
  if (may_overlap(given.sizes(), given.strides())) return given.clone();
  return at::empty_strided(given.sizes(), given.strides(), given.options()).copy_(given);
}

}  // namespace convkit::detail

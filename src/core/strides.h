#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/ArrayRef.h>

#include <cstdint>
#include <vector>

/// Sizes and strides: how the elements of a tensor lie in memory.
namespace convkit::detail {

using Sizes = std::vector<int64_t>;

/// How many elements a tensor of these sizes has.
int64_t element_count(c10::IntArrayRef sizes);

/// Strides of elements that lie in the order in which they are counted: [N, C, H, W] as torch has it.
Sizes row_strides(c10::IntArrayRef sizes);

/// Strides of images [N, C, H, W] whose channels are next to each other.
Sizes channels_last_strides(c10::IntArrayRef sizes);

/// The layout that compile() computes in: channels_last for images, else rows.
Sizes computing_strides(c10::IntArrayRef sizes);

/// Whether both strides place the elements alike: those of a dimension of size 1 do not matter.
bool same_layout(c10::IntArrayRef sizes, c10::IntArrayRef a, c10::IntArrayRef b);

/// Whether the elements fill their memory without a gap or an overlap.
bool is_dense(c10::IntArrayRef sizes, c10::IntArrayRef strides);

/// `strides` where they are dense, else row_strides().
Sizes dense_or_rows(c10::IntArrayRef sizes, c10::IntArrayRef strides);

/// Whether two elements may share memory. Strides that interleave, as no layout of torch's does, count
/// as such too.
bool may_overlap(c10::IntArrayRef sizes, c10::IntArrayRef strides);

/// The elements from the first one to the last one in memory, those between them counted: 0 for an empty
/// tensor. The strides are not negative.
int64_t extent(c10::IntArrayRef sizes, c10::IntArrayRef strides);

/// A copy with the same strides, unless they overlap. It begins at a multiple of 64 bytes, as every new
/// tensor: kernels sum in another order from other addresses, and from other layouts.
at::Tensor copy_with_strides(const at::Tensor& tensor);

}  // namespace convkit::detail

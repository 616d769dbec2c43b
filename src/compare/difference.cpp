// Counts by how much two tensors differ.
#include <convkit/compare.h>

#include <algorithm>
#include <limits>

namespace convkit {

namespace {

/// Brings the numbers of a tensor to the CPU; complex ones become two, in a last dimension.
torch::Tensor numbers(const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.detach().cpu().contiguous().resolve_conj().resolve_neg();
  return dense.is_complex() ? at::view_as_real(dense) : dense;
}

/// Views contiguous numbers as integers of the same size.
torch::Tensor bits_of(const torch::Tensor& tensor) {
  torch::Dtype integers = torch::kInt;
  if (tensor.element_size() == 8) integers = torch::kLong;
  if (tensor.element_size() == 2) integers = torch::kShort;
  if (tensor.element_size() == 1) integers = torch::kChar;
  return tensor.view(integers);
}

/// Maps floating point numbers to integers, in their order: neighbours differ by 1.
torch::Tensor ordered_bits(const torch::Tensor& tensor) {
  const torch::Tensor bits = bits_of(tensor).to(torch::kLong);
  const int64_t lowest = tensor.element_size() == 8   ? std::numeric_limits<int64_t>::min()
                         : tensor.element_size() == 2 ? std::numeric_limits<int16_t>::min()
                                                      : std::numeric_limits<int32_t>::min();
  return at::where(bits < 0, lowest - bits.clamp_max(0), bits);
}

/// Counts how many numbers of the type lie between two elements, at most; it stops at the largest
/// int64.
int64_t max_ulps(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor x = ordered_bits(a);
  const torch::Tensor y = ordered_bits(b);
  const torch::Tensor low = at::minimum(x, y);
  const torch::Tensor farthest = low.clamp_max(0) + std::numeric_limits<int64_t>::max();
  return (at::minimum(at::maximum(x, y), farthest) - low).max().item<int64_t>();
}

/// Computes |a - b| as doubles. It is not 0 for integers that differ, however large they are.
torch::Tensor distance(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor rounded = a.to(torch::kDouble) - b.to(torch::kDouble);
  if (a.is_floating_point()) return rounded.abs();
  // Integers of one sign are subtracted exactly; between two signs, rounding makes no zero.
  const torch::Tensor x = a.to(torch::kLong);
  const torch::Tensor y = b.to(torch::kLong);
  const torch::Tensor one_sign = (x < 0) == (y < 0);
  const torch::Tensor exact = (x - at::where(one_sign, y, x)).to(torch::kDouble);
  return at::where(one_sign, exact, rounded).abs();
}

bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  if (torch::equal(a, b))
    return a.is_floating_point() ? torch::equal(a.signbit(), b.signbit()) : true;
  // NaN is not equal to itself, but its bits are.
  return a.numel() > 0 && torch::equal(bits_of(a), bits_of(b));
}

std::vector<int64_t> index_of(int64_t position, torch::IntArrayRef sizes) {
  std::vector<int64_t> index(sizes.size());
  for (std::size_t i = sizes.size(); i-- > 0;) {
    index[i] = position % sizes[i];
    position /= sizes[i];
  }
  return index;
}

}  // namespace

Difference difference(const torch::Tensor& ours, const torch::Tensor& expected) {
  Difference result;
  // Numbers that are all the same, or not finite, prove nothing.
  const torch::Tensor b = numbers(expected);
  const int64_t parts = expected.is_complex() ? 2 : 1;
  const torch::Tensor rows = b.reshape({-1, parts});
  const torch::Tensor finite = rows.index_select(0, rows.isfinite().all(1).nonzero().flatten());
  result.alive = finite.size(0) == 1
                     ? expected.numel() == 1
                     : finite.size(0) > 1 && finite.ne(finite[0]).any().item<bool>();
  if (ours.sizes() != expected.sizes() || ours.scalar_type() != expected.scalar_type()) {
    result.equal_share = 0;
    result.explanation = c10::str("ours is ", ours.scalar_type(), " ", ours.sizes(), ", expected ",
                                  expected.scalar_type(), " ", expected.sizes());
    return result;
  }
  const torch::Tensor a = numbers(ours);
  result.equal = same_bits(a, b);
  if (result.equal) return result;

  const double infinity = std::numeric_limits<double>::infinity();
  const torch::Tensor same = (a == b) | (a.isnan() & b.isnan());
  // A number that only one of them has differs by more than any tolerance.
  const torch::Tensor absolute =
      distance(a, b).nan_to_num(infinity, infinity, infinity).masked_fill(same, 0);
  const torch::Tensor size = b.to(torch::kDouble).abs().nan_to_num(0, 0, 0);
  int64_t position = absolute.argmax().item<int64_t>();
  result.max_absolute = absolute.flatten()[position].item<double>();
  // If all values are equal, `where` is the first element whose bits differ.
  if (result.max_absolute == 0) {
    position = bits_of(a).ne(bits_of(b)).to(torch::kInt).argmax().item<int64_t>();
  }
  result.where = index_of(position / parts, expected.sizes());
  result.max_relative = (absolute / size)
                            .masked_fill(size == 0, 0)
                            .masked_fill(absolute.isinf(), infinity)
                            .max()
                            .item<double>();
  result.relative_to_scale = result.max_absolute / std::max(size.max().item<double>(), 1e-300);
  if (a.is_floating_point() && a.element_size() >= 2) result.max_ulps = max_ulps(a, b);
  result.equal_share = same.reshape({-1, parts}).all(1).to(torch::kDouble).mean().item<double>();
  return result;
}

}  // namespace convkit

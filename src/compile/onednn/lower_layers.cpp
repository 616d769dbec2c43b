#include "compile/onednn/lowering.h"

#include <algorithm>
#include <limits>

namespace convkit::detail {

using dnnl::memory;

std::optional<Eltwise> eltwise_of(const Operation& operation) {
  using dnnl::algorithm;
  const std::string name = plain_name(operation);
  const auto& arguments = operation.arguments;
  const auto number = [&](std::size_t i) {
    return static_cast<float>(arguments.at(i).constant.toScalar().toDouble());
  };
  const auto limit = [&](std::size_t i, float otherwise) {
    return i < arguments.size() && arguments[i].constant.isScalar() ? number(i) : otherwise;
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (!operation.handle.operator_name().overload_name.empty()) return std::nullopt;
  if (name == "relu") return Eltwise{algorithm::eltwise_relu};
  if (name == "relu6") return Eltwise{algorithm::eltwise_clip, 0, 6};
  if (name == "hardtanh") return Eltwise{algorithm::eltwise_clip, number(1), number(2)};
  if (name == "clamp") {
    return Eltwise{algorithm::eltwise_clip, limit(1, -kInfinity), limit(2, kInfinity)};
  }
  if (name == "clamp_min") return Eltwise{algorithm::eltwise_clip, number(1), kInfinity};
  if (name == "clamp_max") return Eltwise{algorithm::eltwise_clip, -kInfinity, number(1)};
  if (name == "mish") return Eltwise{algorithm::eltwise_mish};
  if (name == "elu" && number(2) == 1 && number(3) == 1) {
    return Eltwise{algorithm::eltwise_elu, number(1)};
  }
  if (name == "silu") return Eltwise{algorithm::eltwise_swish, 1};
  if (name == "sigmoid") return Eltwise{algorithm::eltwise_logistic};
  if (name == "tanh") return Eltwise{algorithm::eltwise_tanh};
  if (name == "hardswish") return Eltwise{algorithm::eltwise_hardswish, 1.0F / 6, 0.5F};
  if (name == "hardsigmoid") return Eltwise{algorithm::eltwise_hardsigmoid, 1.0F / 6, 0.5F};
  if (name == "leaky_relu") return Eltwise{algorithm::eltwise_relu, number(1)};
  if (name == "gelu") {
    return Eltwise{arguments[1].constant.toStringRef() == "tanh" ? algorithm::eltwise_gelu_tanh
                                                                 : algorithm::eltwise_gelu_erf};
  }
  return std::nullopt;
}

struct Lowering::Window {
  Dims kernel, stride, padding, right, dilation;
};

void Lowering::add_pool(dnnl::algorithm algorithm, const Slot& x, const Slot& y,
                        const Window& window, const std::string& what) {
  const dnnl::pooling_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, algorithm, desc_of(x), desc_of(y),
      window.stride, window.kernel, window.dilation, window.padding, window.right, attributes());
  add_primitive(descriptor, dnnl::pooling_forward(descriptor),
                {operand(DNNL_ARG_SRC, x), operand(DNNL_ARG_DST, y)}, what);
}

bool Lowering::lower_max_pool(const Operation& operation, int64_t x, int64_t y) {
  Window window;
  for (std::size_t i = 0; i < 2; ++i) {
    window.kernel.push_back(number_at(operation.arguments[1], i));
    window.stride.push_back(number_at(operation.arguments[2], i, window.kernel[i]));
    window.padding.push_back(number_at(operation.arguments[3], i));
    window.dilation.push_back(number_at(operation.arguments[4], i) - 1);
    const int64_t reach = (value(y).sizes[2 + i] - 1) * window.stride[i] +
                          (window.kernel[i] - 1) * (window.dilation[i] + 1) + 1;
    window.right.push_back(reach - value(x).sizes[2 + i] - window.padding[i]);
  }
  const Slot from = dense(x);
  const Slot to = new_slot(y);
  add_pool(dnnl::algorithm::pooling_max, from, to, window, "max_pool2d");
  set_slot(y, to);
  return true;
}

bool Lowering::lower_average_pool(const Operation& operation, int64_t x, int64_t y) {
  const auto& arguments = operation.arguments;
  if (arguments[4].constant.toBool() || !arguments[6].constant.isNone()) return false;
  Window window;
  for (std::size_t i = 0; i < 2; ++i) {
    window.kernel.push_back(number_at(arguments[1], i));
    window.stride.push_back(number_at(arguments[2], i, window.kernel[i]));
    window.padding.push_back(number_at(arguments[3], i));
    window.dilation.push_back(0);
  }
  window.right = window.padding;
  const Slot from = dense(x);
  const Slot to = new_slot(y);
  add_pool(arguments[5].constant.toBool() ? dnnl::algorithm::pooling_avg_include_padding
                                          : dnnl::algorithm::pooling_avg_exclude_padding,
           from, to, window, "avg_pool2d");
  set_slot(y, to);
  return true;
}

bool Lowering::lower_adaptive_pool(int64_t x, int64_t y) {
  Window window;
  for (std::size_t i = 2; i < 4; ++i) {
    if (value(x).sizes[i] % value(y).sizes[i] != 0) return false;
    window.kernel.push_back(value(x).sizes[i] / value(y).sizes[i]);
  }
  window.stride = window.kernel;
  window.padding = window.right = window.dilation = {0, 0};
  const Slot from = dense(x);
  const Slot to = new_slot(y);
  add_pool(dnnl::algorithm::pooling_avg_exclude_padding, from, to, window, "adaptive_avg_pool2d");
  set_slot(y, to);
  return true;
}

/// mean(x, {2, 3}), of images.
bool Lowering::lower_mean(const Operation& operation, int64_t x, int64_t y) {
  if (operation.handle.operator_name().overload_name != "dim" || !is_float(x) ||
      value(x).sizes.size() != 4 || !operation.arguments[1].constant.isIntList() ||
      !operation.arguments[3].constant.isNone()) {
    return false;
  }
  auto dims = operation.arguments[1].constant.toIntVector();
  for (int64_t& dim : dims) dim += dim < 0 ? 4 : 0;
  std::sort(dims.begin(), dims.end());
  if (dims != std::vector<int64_t>{2, 3}) return false;
  const Window window{{value(x).sizes[2], value(x).sizes[3]}, {1, 1}, {0, 0}, {0, 0}, {0, 0}};
  const Slot from = dense(x);
  const std::vector<int64_t> pooled{from.sizes[0], from.sizes[1], 1, 1};
  Slot to = new_slot(pooled, channels_last_strides(pooled), dtype_);
  add_pool(dnnl::algorithm::pooling_avg_exclude_padding, from, to, window, "mean");
  to.sizes = value(y).sizes;
  to.strides = computing_strides(to.sizes);
  set_slot(y, to);
  return true;
}

bool Lowering::lower_upsample(const Operation& operation, int64_t x, int64_t y, bool linear) {
  // Of corners aligned, oneDNN knows nothing; and only whole factors round as LibTorch's do.
  if (linear && operation.arguments[2].constant.toBool()) return false;
  for (std::size_t i = 2; i < 4; ++i) {
    if (value(y).sizes[i] % value(x).sizes[i] != 0) return false;
  }
  if (!scales_fit(operation, x, y)) return false;
  const Slot from = dense(x);
  const Slot to = new_slot(y);
  const dnnl::resampling_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference,
      linear ? dnnl::algorithm::resampling_linear : dnnl::algorithm::resampling_nearest,
      desc_of(from), desc_of(to), attributes());
  add_primitive(descriptor, dnnl::resampling_forward(descriptor),
                {operand(DNNL_ARG_SRC, from), operand(DNNL_ARG_DST, to)}, plain_name(operation));
  set_slot(y, to);
  return true;
}

/// Scales that were given are those of the sizes.
bool Lowering::scales_fit(const Operation& operation, int64_t x, int64_t y) const {
  const auto fits = [&](double scale, std::size_t i) {
    return scale == static_cast<double>(value(y).sizes[i]) / static_cast<double>(value(x).sizes[i]);
  };
  std::vector<double> scales;
  for (const Argument& argument : operation.arguments) {
    if (argument.constant.isDouble()) scales.push_back(argument.constant.toDouble());
    if (argument.constant.isDoubleList()) scales = argument.constant.toDoubleVector();
  }
  return scales.empty() || (scales.size() == 2 && fits(scales[0], 2) && fits(scales[1], 3));
}

// Channel (c r + i) r + j of a position is pixel (i, j) of r x r: a transposition in memory.
bool Lowering::lower_shuffle(const Operation& operation, int64_t x, int64_t y) {
  const int64_t r = number_at(operation.arguments[1], 0);
  const Slot from = dense(x);
  const Slot to = new_slot(y);
  const int64_t c = to.sizes[1];
  const int64_t h = from.sizes[2];
  const int64_t w = from.sizes[3];
  const int64_t all = from.sizes[1];
  Slot source = from;
  source.sizes = {from.sizes[0], h, w, r, r, c};
  source.strides = {h * w * all, w * all, all, r, 1, r * r};
  Slot target = to;
  target.sizes = source.sizes;
  target.strides = {h * r * w * r * c, r * w * r * c, r * c, w * r * c, c, 1};
  add_copy(source, target, "pixel_shuffle");
  set_slot(y, to);
  return true;
}

bool Lowering::lower_cat(const Operation& operation, int64_t y) {
  if (value(y).sizes.size() != 4 || number_at(operation.arguments[1], 0) != 1) return false;
  for (const int64_t id : operation.arguments[0].values) {
    if (!is_float(id) || is_constant(id) || value(id).sizes.size() != 4) return false;
  }
  std::vector<Desc> descs;
  std::vector<Operand> operands;
  for (const int64_t id : operation.arguments[0].values) {
    const Slot x = dense(id);
    descs.push_back(desc_of(x));
    operands.push_back(operand(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(operands.size()), x));
  }
  const Slot to = new_slot(y);
  const dnnl::concat::primitive_desc descriptor(cpu_engine(), desc_of(to), 1, descs, attributes());
  operands.push_back(operand(DNNL_ARG_DST, to));
  add_primitive(descriptor, dnnl::concat(descriptor), std::move(operands), "cat");
  set_slot(y, to);
  return true;
}

bool Lowering::lower_binary(const Operation& operation, const std::string& name, int64_t y) {
  const auto& arguments = operation.arguments;
  if (operation.handle.operator_name().overload_name != "Tensor") return false;
  if (name == "add" && arguments[2].constant.toScalar().toDouble() != 1) return false;
  int64_t a = arguments[0].values.at(0);
  int64_t b = arguments[1].values.at(0);
  if (a < 0 || b < 0 || !is_float(a) || !is_float(b)) return false;
  const auto& sizes = value(y).sizes;
  if (value(a).sizes != sizes) std::swap(a, b);
  if (value(a).sizes != sizes || is_constant(a)) return false;
  if (sizes.size() != 4 && value(b).sizes != sizes) return false;
  const Slot x = dense(a);
  Operand other;
  Desc other_desc;
  if (is_constant(b)) {
    torch::Tensor numbers = program_.constants.at(index(b));
    while (numbers.dim() < static_cast<int64_t>(sizes.size())) numbers = numbers.unsqueeze(0);
    const Dims dims = numbers.sizes().vec();
    const Desc plain(dims, memory::data_type::f32, row_strides(dims));
    other_desc = Desc(dims, type_of(dtype_), computing_strides(dims));
    other = operand(DNNL_ARG_SRC_1, packed(numbers.contiguous(), plain, other_desc));
  } else {
    if (value(b).sizes.size() != sizes.size()) return false;
    const Slot second = dense(b);
    other_desc = desc_of(second);
    other = operand(DNNL_ARG_SRC_1, second);
  }
  Slot to;
  const bool in_place = may_overwrite(x, x.strides) && other.buffer != x.buffer;
  to = in_place ? x : new_slot(y);
  const dnnl::binary::primitive_desc descriptor(
      cpu_engine(), name == "add" ? dnnl::algorithm::binary_add : dnnl::algorithm::binary_mul,
      desc_of(x), other_desc, desc_of(to), attributes());
  add_primitive(descriptor, dnnl::binary(descriptor),
                {operand(DNNL_ARG_SRC_0, x), other, operand(DNNL_ARG_DST, to)}, name);
  set_slot(y, to);
  return true;
}

bool Lowering::lower_eltwise(const Operation& operation, const std::string& name, int64_t x,
                             int64_t y) {
  const auto eltwise = eltwise_of(operation);
  if (!eltwise) return false;
  const Slot from = dense(x);
  const Slot to = may_overwrite(from, from.strides) ? from : new_slot(y);
  const dnnl::eltwise_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, eltwise->algorithm, desc_of(from),
      desc_of(to), eltwise->alpha, eltwise->beta, attributes());
  add_primitive(descriptor, dnnl::eltwise_forward(descriptor),
                {operand(DNNL_ARG_SRC, from), operand(DNNL_ARG_DST, to)}, name);
  set_slot(y, to);
  return true;
}

}  // namespace convkit::detail

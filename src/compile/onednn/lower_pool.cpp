#include "compile/onednn/lower_pool.h"

#include <algorithm>

namespace convkit::detail {

namespace {

struct Window {
  Sizes kernel, stride, padding, right, dilation;
};

Window whole(int64_t height, int64_t width) {
  return {{height, width}, {1, 1}, {0, 0}, {0, 0}, {0, 0}};
}

bool is_image(const Lowering& lowering, int64_t id) {
  return lowering.sizes(id).size() == 4 && lowering.is_float(id);
}

void add_pool(Lowering& lowering, dnnl::algorithm algorithm, const Slot& x, const Slot& y,
              const Window& window, std::string what) {
  const dnnl::pooling_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, algorithm, desc_of(x), desc_of(y),
      window.stride, window.kernel, window.dilation, window.padding, window.right, attributes());
  lowering.add_primitive(descriptor, dnnl::pooling_forward(descriptor),
                         {Lowering::operand(DNNL_ARG_SRC, x), Lowering::operand(DNNL_ARG_DST, y)},
                         Lowering::explanation_of(std::move(what), y));
}

/// Lowers a pooling of images to images.
bool lower_pool(Lowering& lowering, const Operation& operation, dnnl::algorithm algorithm,
                const Window& window) {
  const Slot from = lowering.dense(tensor_argument(operation, 0));
  const Slot to = lowering.memory().new_slot(operation.outputs[0]);
  add_pool(lowering, algorithm, from, to, window, plain_name(operation));
  lowering.memory().set_slot(operation.outputs[0], to);
  return true;
}

}  // namespace

bool lower_max_pool(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  const int64_t y = operation.outputs[0];
  if (!is_image(lowering, x)) return false;
  Window window;
  for (std::size_t i = 0; i < 2; ++i) {
    window.kernel.push_back(number_at(operation.arguments[1], i));
    window.stride.push_back(number_at(operation.arguments[2], i, window.kernel[i]));
    window.padding.push_back(number_at(operation.arguments[3], i));
    window.dilation.push_back(number_at(operation.arguments[4], i) - 1);
    const int64_t reach = (lowering.sizes(y)[2 + i] - 1) * window.stride[i] +
                          (window.kernel[i] - 1) * (window.dilation[i] + 1) + 1;
    window.right.push_back(reach - lowering.sizes(x)[2 + i] - window.padding[i]);
  }
  return lower_pool(lowering, operation, dnnl::algorithm::pooling_max, window);
}

bool lower_average_pool(Lowering& lowering, const Operation& operation) {
  const auto& arguments = operation.arguments;
  const bool rounds_up = arguments[4].constant.toBool();
  const bool has_divisor = !arguments[6].constant.isNone();
  if (!is_image(lowering, tensor_argument(operation, 0)) || rounds_up || has_divisor) return false;
  Window window;
  for (std::size_t i = 0; i < 2; ++i) {
    window.kernel.push_back(number_at(arguments[1], i));
    window.stride.push_back(number_at(arguments[2], i, window.kernel[i]));
    window.padding.push_back(number_at(arguments[3], i));
    window.dilation.push_back(0);
  }
  window.right = window.padding;
  const bool counts_padding = arguments[5].constant.toBool();
  return lower_pool(lowering, operation,
                    counts_padding ? dnnl::algorithm::pooling_avg_include_padding
                                   : dnnl::algorithm::pooling_avg_exclude_padding,
                    window);
}

bool lower_adaptive_pool(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  if (!is_image(lowering, x)) return false;
  const Sizes& from = lowering.sizes(x);
  const Sizes& to = lowering.sizes(operation.outputs[0]);
  if (from[2] % to[2] != 0 || from[3] % to[3] != 0) return false;
  Window window = whole(from[2] / to[2], from[3] / to[3]);
  window.stride = window.kernel;
  return lower_pool(lowering, operation, dnnl::algorithm::pooling_avg_exclude_padding, window);
}

bool lower_mean(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  const int64_t y = operation.outputs[0];
  if (operation.handle.operator_name().overload_name != "dim" || !is_image(lowering, x) ||
      !operation.arguments[1].constant.isIntList() || !operation.arguments[3].constant.isNone()) {
    return false;
  }
  Sizes dims = operation.arguments[1].constant.toIntVector();
  for (int64_t& dim : dims) dim += dim < 0 ? 4 : 0;
  std::sort(dims.begin(), dims.end());
  if (dims != Sizes{2, 3}) return false;
  ProgramMemory& memory = lowering.memory();
  const Slot from = lowering.dense(x);
  const Sizes pooled{from.sizes[0], from.sizes[1], 1, 1};
  Slot to = memory.new_slot(pooled, channels_last_strides(pooled), memory.dtype());
  add_pool(lowering, dnnl::algorithm::pooling_avg_exclude_padding, from, to,
           whole(from.sizes[2], from.sizes[3]), "mean");
  to.sizes = lowering.sizes(y);
  to.strides = computing_strides(to.sizes);
  memory.set_slot(y, to);
  return true;
}

}  // namespace convkit::detail

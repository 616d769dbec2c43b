#include "compile/onednn/lower_pool.h"

#include "compile/onednn/lower_convolution.h"

#include <algorithm>

namespace convkit::detail {

namespace {

struct Window {
  Sizes kernel, stride, padding, right, dilation;
};

/// A pooling as oneDNN has it: its numbers are multiplied by the factor.
struct Pooling {
  dnnl::algorithm algorithm = dnnl::algorithm::pooling_max;
  Window window;
  float factor = 1;
};

Window whole(int64_t height, int64_t width) {
  return {{height, width}, {1, 1}, {0, 0}, {0, 0}, {0, 0}};
}

bool is_image(const Lowering& lowering, int64_t id) {
  return lowering.sizes(id).size() == 4 && lowering.is_float(id);
}

/// The windows of an operator's first arguments. `before` is a padding in front of its own.
Window window_of(const Operation& operation, const Argument* dilation, const Sizes& from,
                 const Sizes& to, const Sizes& before) {
  Window window;
  for (std::size_t i = 0; i < 2; ++i) {
    window.kernel.push_back(number_at(operation.arguments[1], i));
    window.stride.push_back(number_at(operation.arguments[2], i, window.kernel[i]));
    window.padding.push_back(number_at(operation.arguments[3], i) + before[i]);
    window.dilation.push_back(dilation == nullptr ? 0 : number_at(*dilation, i) - 1);
    const int64_t reach =
        (to[2 + i] - 1) * window.stride[i] + (window.kernel[i] - 1) * (window.dilation[i] + 1) + 1;
    window.right.push_back(reach - from[2 + i] - window.padding[i]);
  }
  return window;
}

Pooling max_pooling(const Operation& operation, const Sizes& from, const Sizes& to,
                    const Sizes& before) {
  return {dnnl::algorithm::pooling_max,
          window_of(operation, &operation.arguments[4], from, to, before)};
}

/// Average pooling whose zeros of the padding count; a divisor takes the place of their count.
Pooling counting_zeros(const Operation& operation, const Sizes& from, const Sizes& to,
                       const Sizes& before) {
  Pooling result{dnnl::algorithm::pooling_avg_include_padding,
                 window_of(operation, nullptr, from, to, before)};
  if (const Argument& divisor = operation.arguments[6]; !divisor.constant.isNone()) {
    const int64_t area = result.window.kernel[0] * result.window.kernel[1];
    result.factor = static_cast<float>(area) / static_cast<float>(number_at(divisor, 0));
  }
  return result;
}

/// Nothing where LibTorch divides the sums of some windows by a number that oneDNN does not.
std::optional<Pooling> average_pooling(const Operation& operation, const Sizes& from,
                                       const Sizes& to) {
  Pooling result = counting_zeros(operation, from, to, {0, 0});
  const Window& window = result.window;
  const bool has_divisor = !operation.arguments[6].constant.isNone();
  const bool counts = operation.arguments[5].constant.toBool();
  const bool pads = window.padding != Sizes{0, 0};
  const bool leaves = window.right[0] > window.padding[0] || window.right[1] > window.padding[1];
  if (has_divisor || (counts && !leaves)) return result;
  // LibTorch never counts what a window has beyond the padding, oneDNN counts either all or none.
  if (counts && pads) return std::nullopt;
  result.algorithm = dnnl::algorithm::pooling_avg_exclude_padding;
  return result;
}

void add_pool(Lowering& lowering, const Pooling& pooling, const Slot& x, const Slot& y,
              StepExplanation explanation) {
  const Window& window = pooling.window;
  dnnl::post_ops ops;
  if (pooling.factor != 1) ops.append_eltwise(dnnl::algorithm::eltwise_linear, pooling.factor, 0);
  const dnnl::pooling_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, pooling.algorithm, desc_of(x), desc_of(y),
      window.stride, window.kernel, window.dilation, window.padding, window.right,
      attributes_with(ops));
  lowering.add_primitive(descriptor, dnnl::pooling_forward(descriptor),
                         {Lowering::operand(DNNL_ARG_SRC, x), Lowering::operand(DNNL_ARG_DST, y)},
                         std::move(explanation));
}

/// Lowers a pooling of images to images.
bool lower_pool(Lowering& lowering, const Pooling& pooling, int64_t input, const Step& step) {
  const int64_t output = outputs_of(step)[0];
  const Slot from = lowering.dense(input);
  const Slot to = lowering.memory().new_slot(output);
  add_pool(lowering, pooling, from, to, Lowering::explanation_of(step, to));
  lowering.memory().set_slot(output, to);
  return true;
}

}  // namespace

bool lower_max_pool(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  if (!is_image(lowering, x)) return false;
  const Sizes& sizes = lowering.sizes(operation.outputs[0]);
  return lower_pool(lowering, max_pooling(operation, lowering.sizes(x), sizes, {0, 0}), x,
                    operation);
}

bool lower_average_pool(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  if (!is_image(lowering, x)) return false;
  const Sizes& sizes = lowering.sizes(operation.outputs[0]);
  const auto pooling = average_pooling(operation, lowering.sizes(x), sizes);
  return pooling && lower_pool(lowering, *pooling, x, operation);
}

bool lower_padded(Lowering& lowering, const PaddedPool& padded) {
  const Sizes& from = lowering.sizes(padded.input);
  const Sizes& to = lowering.sizes(padded.output);
  if (lowering.is_constant(padded.input) || element_count(to) == 0) return false;
  const Pooling pooling = plain_name(padded.pool) == "max_pool2d"
                              ? max_pooling(padded.pool, from, to, padded.before)
                              : counting_zeros(padded.pool, from, to, padded.before);
  return lower_pool(lowering, pooling, padded.input, padded);
}

bool lower_adaptive_pool(Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  if (!is_image(lowering, x)) return false;
  const Sizes& from = lowering.sizes(x);
  const Sizes& to = lowering.sizes(operation.outputs[0]);
  if (from[2] % to[2] != 0 || from[3] % to[3] != 0) return false;
  Window window = whole(from[2] / to[2], from[3] / to[3]);
  window.stride = window.kernel;
  return lower_pool(lowering, {dnnl::algorithm::pooling_avg_exclude_padding, window}, x, operation);
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
  const Window window = whole(from.sizes[2], from.sizes[3]);
  add_pool(lowering, {dnnl::algorithm::pooling_avg_exclude_padding, window}, from, to,
           Lowering::explanation_of("mean", to));
  to.sizes = lowering.sizes(y);
  to.strides = computing_strides(to.sizes);
  memory.set_slot(y, to);
  return true;
}

}  // namespace convkit::detail

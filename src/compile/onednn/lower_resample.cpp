#include "compile/onednn/lower_resample.h"

namespace convkit::detail {

namespace {

bool maps_images(const Lowering& lowering, const Operation& operation) {
  const int64_t x = tensor_argument(operation, 0);
  return lowering.is_float(x) && lowering.sizes(x).size() == 4 &&
         lowering.sizes(operation.outputs[0]).size() == 4;
}

/// Whether scales that were given are those of the sizes.
bool scales_fit(const Operation& operation, const Sizes& from, const Sizes& to) {
  const auto fits = [&](double scale, std::size_t i) {
    return scale == static_cast<double>(to[i]) / static_cast<double>(from[i]);
  };
  std::vector<double> scales;
  for (const Argument& argument : operation.arguments) {
    if (argument.constant.isDouble()) scales.push_back(argument.constant.toDouble());
    if (argument.constant.isDoubleList()) scales = argument.constant.toDoubleVector();
  }
  return scales.empty() || (scales.size() == 2 && fits(scales[0], 2) && fits(scales[1], 3));
}

bool lower_resampling(Lowering& lowering, const Operation& operation, dnnl::algorithm algorithm) {
  const int64_t x = tensor_argument(operation, 0);
  const int64_t y = operation.outputs[0];
  if (!maps_images(lowering, operation)) return false;
  const Sizes& input = lowering.sizes(x);
  const Sizes& output = lowering.sizes(y);
  if (output[2] % input[2] != 0 || output[3] % input[3] != 0 ||
      !scales_fit(operation, input, output)) {
    return false;
  }
  const Slot from = lowering.dense(x);
  const Slot to = lowering.memory().new_slot(y);
  const dnnl::resampling_forward::primitive_desc descriptor(
      cpu_engine(), dnnl::prop_kind::forward_inference, algorithm, desc_of(from), desc_of(to),
      attributes());
  lowering.add_primitive(
      descriptor, dnnl::resampling_forward(descriptor),
      {Lowering::operand(DNNL_ARG_SRC, from), Lowering::operand(DNNL_ARG_DST, to)},
      Lowering::explanation_of(plain_name(operation), to));
  lowering.memory().set_slot(y, to);
  return true;
}

}  // namespace

bool lower_nearest(Lowering& lowering, const Operation& operation) {
  return lower_resampling(lowering, operation, dnnl::algorithm::resampling_nearest);
}

bool lower_bilinear(Lowering& lowering, const Operation& operation) {
  const bool aligns_corners = operation.arguments[2].constant.toBool();
  return !aligns_corners &&
         lower_resampling(lowering, operation, dnnl::algorithm::resampling_linear);
}

// Channel (c r + i) r + j of a position is pixel (i, j) of r x r: a transposition in memory.
bool lower_pixel_shuffle(Lowering& lowering, const Operation& operation) {
  if (!maps_images(lowering, operation)) return false;
  const int64_t r = number_at(operation.arguments[1], 0);
  const Slot from = lowering.dense(tensor_argument(operation, 0));
  const Slot to = lowering.memory().new_slot(operation.outputs[0]);
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
  lowering.add_copy(source, target, "pixel_shuffle");
  lowering.memory().set_slot(operation.outputs[0], to);
  return true;
}

}  // namespace convkit::detail

#include "compile/engines/transpose.h"
#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/packed_weights.h"
#include "compile/onednn/planar_command.h"

#include <algorithm>

namespace convkit::detail {

namespace {

Geometry geometry_of(Lowering& lowering, const Convolution& c) {
  return Geometry::of(c, lowering.sizes(c.input), lowering.sizes(c.output));
}

/// Whether this is faster than two transpositions around oneDNN's kernels, by measurement: not for images of few
/// pixels, for strides along the rows, whose pixels have to be picked, and for more channels than fit into the cache.
bool pays(Lowering& lowering, const Convolution* depthwise, const Convolution* pointwise) {
  const Convolution& last = pointwise != nullptr ? *pointwise : *depthwise;
  const int64_t width = lowering.sizes(last.output)[3];
  if (depthwise != nullptr && depthwise->stride[1] > 1) return false;
  if (pointwise == nullptr) return width >= 28;
  return width >= 14 && pointwise->weight.size(0) >= 8 && pointwise->weight.size(1) <= 1024;
}

/// Whether our loops have what follows a convolution, and nobody has chosen another way for it.
bool is_ours(Lowering& lowering, const Convolution& c) {
  const bool more = c.slope.defined() || c.scale.defined() || c.shift.defined() || c.added >= 0;
  return !c.linear && !c.transposed && !more && activation_of(c.activation) &&
         !lowering.options().choices.contains(geometry_of(lowering, c).key());
}

bool is_small_depthwise(Lowering& lowering, const Convolution& c) {
  constexpr int64_t kMost = 49;  // taps
  return geometry_of(lowering, c).is_depthwise() &&
         c.weight.size(0) == lowering.sizes(c.input)[1] &&
         c.weight.size(2) * c.weight.size(3) <= kMost;
}

/// The 1x1 convolution that alone uses the output of a depthwise one, if it is the next step.
const Convolution* pointwise_after(Lowering& lowering, const Convolution& depthwise) {
  const Step* step = lowering.next_step();
  if (step == nullptr || lowering.memory().uses(depthwise.output) != 1) return nullptr;
  const auto* next = std::get_if<Convolution>(step);
  const bool fits = next != nullptr && next->input == depthwise.output &&
                    is_ours(lowering, *next) && geometry_of(lowering, *next).is_pointwise() &&
                    lowering.plan().is_pure(next->output);
  return fits ? next : nullptr;
}

torch::Tensor packed_pointwise(const torch::Tensor& weight) {
  const torch::Tensor matrix = weight.to(torch::kFloat32).contiguous();
  const auto packed =
      planes::packed_weight(matrix.const_data_ptr<float>(), matrix.size(0), matrix.size(1));
  return torch::tensor(packed);
}

/// Rows that a thread takes at once: few enough for what is between the convolutions to stay in its core's second
/// cache, and as many for each thread.
int64_t rows_of(const Sizes& output, int64_t channels, int threads) {
  constexpr int64_t kCache = 1 << 16;  // numbers
  const int64_t most = std::clamp(kCache / (channels * output[3]), int64_t{1}, output[2]);
  int64_t strips = (output[2] + most - 1) / most;
  while (output[0] * strips % threads != 0 && strips < output[2]) ++strips;
  return (output[2] + strips - 1) / strips;
}

}  // namespace

bool lower_planar(Lowering& lowering, const Convolution& c) {
  const Slot& x = lowering.memory().slot(c.input);
  if (lowering.options().memory_format != torch::MemoryFormat::Contiguous ||
      x.dtype != torch::kFloat32 || lowering.memory().dtype() != torch::kFloat32 ||
      !same_layout(x.sizes, x.strides, row_strides(x.sizes)) ||
      !transposes_on(lowering.threads()) || !is_ours(lowering, c)) {
    return false;
  }
  const Convolution* depthwise = is_small_depthwise(lowering, c) ? &c : nullptr;
  const Convolution* pointwise = depthwise != nullptr ? pointwise_after(lowering, c)
                                 : geometry_of(lowering, c).is_pointwise() ? &c
                                                                           : nullptr;
  if (depthwise == nullptr && pointwise == nullptr) return false;
  if (!pays(lowering, depthwise, pointwise)) return false;
  const Convolution& last = pointwise != nullptr ? *pointwise : c;
  if (!lowering.memory().is_output_alone(last.output)) return false;

  PlanarCommand command;
  command.from = x;
  const Sizes& sizes = lowering.sizes(last.output);
  command.threads = lowering.threads();
  command.rows = rows_of(sizes, x.sizes[1], command.threads);
  command.pointwise = pointwise != nullptr;
  const auto constant = [&](const torch::Tensor& tensor) {
    if (!tensor.defined()) return Operand();
    Operand operand = Lowering::operand(DNNL_ARG_WEIGHTS, vector_of(tensor.flatten()));
    lowering.share(operand);
    return operand;
  };
  if (depthwise != nullptr) {
    const auto pair = [](const Sizes& both) { return planes::Pair{both[0], both[1]}; };
    command.depthwise = {{c.weight.size(2), c.weight.size(3)},
                         pair(c.stride),
                         pair(c.padding),
                         pair(c.dilation),
                         activation_of(c.activation).value()};
    command.taps = constant(c.weight);
    command.taps_bias = constant(c.bias);
  }
  if (pointwise != nullptr) {
    command.weight = constant(packed_pointwise(pointwise->weight));
    command.bias = constant(pointwise->bias);
    command.activation = activation_of(pointwise->activation).value();
  }
  command.to.sizes = sizes;
  const int64_t each = planar_work(command);
  constexpr int64_t kMostWork = 1 << 19;  // numbers
  if (each > kMostWork) return false;
  command.to = lowering.memory().new_slot(sizes, row_strides(sizes), torch::kFloat32);
  const Sizes work{command.threads, each};
  command.work = lowering.memory().new_slot(work, row_strides(work), torch::kFloat32);

  StepExplanation explanation = Lowering::explanation_of(Step(c), command.to);
  if (pointwise != nullptr && depthwise != nullptr) {
    explanation = explanation_of_both(c, *pointwise, lowering.sizes(c.output), command.to);
    lowering.take_next_step();
  }
  explanation.how = "planes";
  explanation.by = "convkit";
  const Slot to = command.to;
  lowering.add_command(std::move(command), std::move(explanation));
  lowering.memory().set_slot(last.output, to);
  return true;
}

}  // namespace convkit::detail

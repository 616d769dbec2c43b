#include "compile/engines/threads.h"
#include "compile/engines/winograd.h"
#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/winograd_command.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace convkit::detail {

namespace {

using dnnl::memory;
using winograd::kPatch;
using winograd::kPlaces;

/// G w G^T, computed in float64: [36, C, K].
torch::Tensor transformed(const torch::Tensor& weight) {
  const auto rows = winograd::weight_transform();
  const torch::Tensor g = at::empty({kPatch, 3}, at::kDouble);
  std::copy_n(rows.front().data(), kPatch * 3, g.mutable_data_ptr<double>());
  // Of all kernels at once, since (G w G^T) as a vector is (G x G) times w as one.
  const int64_t out = weight.size(0);
  const int64_t in = weight.size(1);
  const torch::Tensor all = weight.to(at::kDouble).reshape({out * in, 9});
  const torch::Tensor places = at::matmul(all, at::kron(g, g).t());
  return places.to(at::kFloat).view({out, in, kPlaces}).permute({2, 1, 0}).contiguous();
}

/// How many tiles a thread takes at once: few enough for their places and products to stay in its core's
/// second cache, and many enough to use the weights, which are read once for each group, more than once.
int64_t group_of(const Geometry& g, int threads) {
  constexpr int64_t kCache = 1 << 18;  // numbers
  const int64_t channels = g.input[1] + g.output[1];
  const int64_t least = g.input[1] * g.output[1] > 128 * 128 ? 96 : 24;
  const int64_t most = std::max(least, kCache / (kPlaces * channels));
  const int64_t for_each = (g.tiles() + threads - 1) / threads;
  const int64_t groups = (for_each + most - 1) / most;
  return (for_each + groups - 1) / groups;
}

memory::desc plain(int64_t rows, int64_t columns) {
  const Sizes sizes{kPlaces, rows, columns};
  return {sizes, memory::data_type::f32, row_strides(sizes)};
}

/// A product that runs on the thread which asks for it.
dnnl::matmul::primitive_desc product_of(const WinogradCommand& command, int64_t in, int64_t out) {
  const memory::desc weight({kPlaces, in, out}, memory::data_type::f32, memory::format_tag::any);
  dnnl::matmul::primitive_desc result;
  for_one_thread(
      [&] { result = {cpu_engine(), command.places, weight, command.products, attributes()}; });
  return result;
}

}  // namespace

bool can_winograd(Lowering& lowering, const Convolution& c) {
  const bool only_relu = !c.activation || plain_name(*c.activation) == "relu";
  const bool more = c.slope.defined() || c.scale.defined() || c.shift.defined();
  return only_relu && !more && lowering.memory().dtype() == torch::kFloat32 &&
         transposes_on(lowering.threads());
}

bool lower_winograd(Lowering& lowering, const Convolution& c) {
  if (!can_winograd(lowering, c)) return false;
  const Geometry g = Geometry::of(c, lowering.sizes(c.input), lowering.sizes(c.output));
  const int64_t in = g.input[1];
  const int64_t out = g.output[1];
  WinogradCommand command;
  command.threads = lowering.threads();
  command.group = group_of(g, command.threads);
  command.relu = c.activation.has_value();
  command.before = g.before;
  command.places = plain(command.group, in);
  command.products = plain(command.group, out);
  const auto descriptor = product_of(command, in, out);
  refuse_reference(descriptor.impl_info_str());
  for_one_thread([&] { command.product = dnnl::matmul(descriptor); });
  command.scratchpad = descriptor.scratchpad_desc();
  const torch::Tensor weight = transformed(c.weight);
  command.weight = Lowering::operand(DNNL_ARG_WEIGHTS, packed(weight, descriptor.weights_desc()));
  lowering.share(command.weight);
  if (c.bias.defined()) {
    command.bias = Lowering::operand(DNNL_ARG_BIAS, vector_of(c.bias));
    lowering.share(command.bias);
  }

  command.from = lowering.dense(c.input);
  const Sizes strides = channels_last_strides(g.output);
  if (c.added >= 0) command.added = lowering.as(c.added, strides, torch::kFloat32);
  const bool in_place = command.added && lowering.may_overwrite(*command.added, strides) &&
                        command.added->buffer != command.from.buffer;
  command.to =
      in_place ? *command.added : lowering.memory().new_slot(g.output, strides, torch::kFloat32);
  const Sizes work{command.threads, winograd_work(command)};
  command.work = lowering.memory().new_slot(work, row_strides(work), torch::kFloat32);
  StepExplanation explanation = Lowering::explanation_of(Step(c), command.to);
  explanation.how = "winograd 4x4, " + std::string(descriptor.impl_info_str());
  explanation.by = "convkit";
  const Slot to = command.to;
  lowering.add_command(std::move(command), std::move(explanation));
  lowering.memory().set_slot(c.output, to);
  return true;
}

}  // namespace convkit::detail

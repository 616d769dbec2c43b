#include "compile/engines/threads.h"
#include "compile/engines/winograd.h"
#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/winograd_command.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace convkit::detail {

namespace {

using dnnl::memory;
using winograd::patch_of;
using winograd::places_of;

/// G w G^T, computed in float64: [patch * patch, C, K].
torch::Tensor transformed(const torch::Tensor& weight, int64_t tile) {
  const auto rows = winograd::weight_transform(tile);
  const torch::Tensor g = at::empty({patch_of(tile), 3}, at::kDouble);
  std::copy_n(rows.front().data(), patch_of(tile) * 3, g.mutable_data_ptr<double>());
  // Of all kernels at once, since (G w G^T) as a vector is (G x G) times w as one.
  const int64_t out = weight.size(0);
  const int64_t in = weight.size(1);
  const torch::Tensor all = weight.to(at::kDouble).reshape({out * in, 9});
  const torch::Tensor places = at::matmul(all, at::kron(g, g).t());
  return places.to(at::kFloat).view({out, in, places_of(tile)}).permute({2, 1, 0}).contiguous();
}

/// How many tiles a thread takes at once: few enough for their places and products to stay in its core's
/// second cache, and many enough to use the weights, which are read once for each group, more than once.
int64_t group_of(const Geometry& g, int64_t tile, int threads) {
  constexpr int64_t kCache = 1 << 18;  // numbers
  const int64_t channels = g.input[1] + g.output[1];
  const int64_t least = g.input[1] * g.output[1] > 128 * 128 ? 96 : 24;
  const int64_t most = std::max(least, kCache / (places_of(tile) * channels));
  const int64_t for_each = (g.tiles(tile) + threads - 1) / threads;
  const int64_t groups = (for_each + most - 1) / most;
  return (for_each + groups - 1) / groups;
}

memory::desc plain(int64_t places, int64_t rows, int64_t columns) {
  const Sizes sizes{places, rows, columns};
  return {sizes, memory::data_type::f32, row_strides(sizes)};
}

/// A product that runs on the thread which asks for it.
dnnl::matmul::primitive_desc product_of(const WinogradCommand& command, int64_t in, int64_t out) {
  const memory::desc weight({places_of(command.tile), in, out}, memory::data_type::f32,
                            memory::format_tag::any);
  dnnl::matmul::primitive_desc result;
  for_one_thread(
      [&] { result = {cpu_engine(), command.places, weight, command.products, attributes()}; });
  return result;
}

}  // namespace

std::optional<lanes::Activation> activation_of(const std::optional<Operation>& operation) {
  using Kind = lanes::Activation::Kind;
  if (!operation) return lanes::Activation{};
  const auto eltwise = eltwise_of(*operation);
  if (!eltwise) return std::nullopt;
  const auto [algorithm, a, b] = *eltwise;
  if (algorithm == dnnl::algorithm::eltwise_relu && a != 0) {
    return lanes::Activation{Kind::kLeakyRelu, a};
  }
  if (algorithm == dnnl::algorithm::eltwise_relu) return lanes::Activation{Kind::kClip};
  if (algorithm == dnnl::algorithm::eltwise_clip) return lanes::Activation{Kind::kClip, a, b};
  if (algorithm == dnnl::algorithm::eltwise_hardswish) return lanes::Activation{Kind::kHardswish};
  if (algorithm == dnnl::algorithm::eltwise_swish) return lanes::Activation{Kind::kSilu};
  return std::nullopt;
}

bool can_winograd(Lowering& lowering, const Convolution& c) {
  const bool more = c.slope.defined() || c.scale.defined() || c.shift.defined();
  return activation_of(c.activation) && !more && lowering.memory().dtype() == torch::kFloat32 &&
         transposes_on(lowering.threads());
}

bool lower_winograd(Lowering& lowering, const Convolution& c, int64_t tile) {
  if (!can_winograd(lowering, c)) return false;
  const Geometry g = Geometry::of(c, lowering.sizes(c.input), lowering.sizes(c.output));
  const int64_t in = g.input[1];
  const int64_t out = g.output[1];
  WinogradCommand command;
  command.threads = lowering.threads();
  command.tile = tile;
  command.group = group_of(g, tile, command.threads);
  command.activation = activation_of(c.activation).value();
  command.before = g.before;
  command.places = plain(places_of(tile), command.group, in);
  command.products = plain(places_of(tile), command.group, out);
  const auto descriptor = product_of(command, in, out);
  refuse_reference(descriptor.impl_info_str());
  for_one_thread([&] { command.product = dnnl::matmul(descriptor); });
  command.scratchpad = descriptor.scratchpad_desc();
  const torch::Tensor weight = transformed(c.weight, tile);
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
  const Sizes work{command.threads, WinogradThread::numbers(command)};
  command.work = lowering.memory().new_slot(work, row_strides(work), torch::kFloat32);
  StepExplanation explanation = Lowering::explanation_of(Step(c), command.to);
  explanation.how = name_of(*winograd_of(tile)) + ", " + std::string(descriptor.impl_info_str());
  explanation.by = "convkit";
  const Slot to = command.to;
  lowering.add_command(std::move(command), std::move(explanation));
  lowering.memory().set_slot(c.output, to);
  return true;
}

}  // namespace convkit::detail

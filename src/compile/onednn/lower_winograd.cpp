#include "compile/engines/products.h"
#include "compile/engines/transpose.h"
#include "compile/engines/winograd.h"
#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/lower_elementwise.h"
#include "compile/onednn/winograd_command.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <vector>

namespace convkit::detail {

namespace {

using dnnl::memory;
using winograd::Form;

/// Numbers of up to 32 kernels.
using Numbers = std::array<double, 32>;

/// The sum of row[i] numbers(i), kernel by kernel.
template <typename Of>
Numbers combined(const std::vector<double>& row, const Of& numbers, int64_t count) {
  Numbers sums{};
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double* of_each = numbers(i);
    for (std::size_t k = 0; k < static_cast<std::size_t>(count); ++k) {
      sums[k] += row[i] * of_each[k];
    }
  }
  return sums;
}

/// G w G^T of up to 32 kernels r x r, whose tap (i, j) is taps[r i + j]: place (i, j) goes to places[patch i + j].
void transform_kernels(const std::vector<std::vector<double>>& g,
                       const std::vector<const double*>& taps, int64_t count,
                       const std::vector<float*>& places) {
  const std::size_t kernel = g.front().size();
  std::vector<Numbers> half(kernel);  // row i of G w
  for (std::size_t i = 0; i < g.size(); ++i) {
    for (std::size_t j = 0; j < kernel; ++j) {
      half[j] = combined(g[i], [&](std::size_t k) { return taps[kernel * k + j]; }, count);
    }
    for (std::size_t j = 0; j < g.size(); ++j) {
      const Numbers place = combined(g[j], [&](std::size_t k) { return half[k].data(); }, count);
      std::copy_n(place.begin(), count, places[i * g.size() + j]);
    }
  }
}

/// G w G^T, computed in float64, as products::multiply() takes the matrix [C, K] of each place.
PackedConstant transformed(const torch::Tensor& weight, const Form& form) {
  const auto g = winograd::weight_transform(form);
  const int64_t out = weight.size(0);
  const int64_t in = weight.size(1);
  const torch::Tensor taps = weight.permute({2, 3, 1, 0}).to(at::kDouble).contiguous();
  const int64_t size = in * products::padded_columns(out);
  const torch::Tensor numbers = at::zeros({form.places(), size}, at::kFloat);
  const int64_t width = products::panel_width();
  const double* from = taps.const_data_ptr<double>();
  float* to = numbers.mutable_data_ptr<float>();
  at::parallel_for(0, in, 8, [&](int64_t begin, int64_t end) {
    const int64_t all = form.kernel * form.kernel;
    std::vector<const double*> of_taps(static_cast<std::size_t>(all));
    std::vector<float*> of_places(static_cast<std::size_t>(form.places()));
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t first = 0; first < out; first += width) {
        for (int64_t tap = 0; tap < all; ++tap) {
          of_taps[static_cast<std::size_t>(tap)] = from + (tap * in + c) * out + first;
        }
        for (int64_t place = 0; place < form.places(); ++place) {
          of_places[static_cast<std::size_t>(place)] =
              to + place * size + products::place_in_pack(in, c, first);
        }
        transform_kernels(g, of_taps, std::min(width, out - first), of_places);
      }
    }
  });
  const memory::desc desc({numbers.numel()}, memory::data_type::f32, memory::format_tag::a);
  const c10::Storage& storage = numbers.storage();
  return {memory(desc, cpu_engine(), storage.mutable_data()), storage};
}

/// How many tiles a thread takes at once: few enough for their places and products to stay in its core's
/// second cache, and many enough to use the weights, which are read once for each group, more than once.
int64_t group_of(const Geometry& g, const Form& form, int threads) {
  constexpr int64_t kCache = 1 << 18;  // numbers
  const int64_t channels = g.input[1] + g.output[1];
  const int64_t least = g.input[1] * g.output[1] > 128 * 128 ? 96 : 24;
  const int64_t most = std::max(least, kCache / (form.places() * channels));
  const int64_t for_each = (g.tiles(form.tile) + threads - 1) / threads;
  const int64_t groups = (for_each + most - 1) / most;
  return (for_each + groups - 1) / groups;
}

}  // namespace

bool can_winograd(Lowering& lowering, const Convolution& c) {
  const bool more = c.slope.defined() || c.scale.defined() || c.shift.defined();
  return activation_of(c.activation) && !more && lowering.memory().dtype() == torch::kFloat32 &&
         transposes_on(lowering.threads());
}

bool lower_winograd(Lowering& lowering, const Convolution& c, int64_t tile) {
  if (!can_winograd(lowering, c)) return false;
  const Geometry g = Geometry::of(c, lowering.sizes(c.input), lowering.sizes(c.output));
  WinogradCommand command;
  command.threads = lowering.threads();
  command.form = {tile, g.kernel[0]};
  command.group = group_of(g, command.form, command.threads);
  command.activation = activation_of(c.activation).value();
  command.before = g.before;
  command.weight = Lowering::operand(DNNL_ARG_WEIGHTS, transformed(c.weight, command.form));
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
  explanation.how = name_of(*winograd_of(tile));
  explanation.by = "convkit";
  const Slot to = command.to;
  lowering.add_command(std::move(command), std::move(explanation));
  lowering.memory().set_slot(c.output, to);
  return true;
}

}  // namespace convkit::detail

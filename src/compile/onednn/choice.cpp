#include "compile/onednn/choice.h"

#include "compile/engines/winograd.h"
#include "compile/onednn/lower_convolution.h"
#include "compile/onednn/timing.h"

#include <algorithm>
#include <optional>

namespace convkit::detail {

namespace {

using dnnl::memory;

/// Whether few columns stand beside many rows: oneDNN's kernels go along a row. To turn more than one
/// column takes a copy, which costs less than it saves.
bool is_column(const Geometry& g) {
  const int64_t columns = std::max(g.input[3], g.output[3]);
  const int64_t rows = std::max(g.input[2], g.output[2]);
  return columns <= 4 && rows >= 4 * columns;
}

/// The name of oneDNN's kernel for images in channels_last; empty where it has none.
std::string implementation_of(const Geometry& g, torch::Dtype dtype) {
  const memory::desc x(g.input, type_of(dtype), channels_last_strides(g.input));
  const memory::desc y(g.output, type_of(dtype), channels_last_strides(g.output));
  Sizes weight{g.output[1] / g.groups, g.input[1] / g.groups, g.kernel[0], g.kernel[1]};
  if (g.groups > 1) weight.insert(weight.begin(), g.groups);
  const memory::desc any(weight, type_of(dtype), memory::format_tag::any);
  const Sizes dilation{g.dilation[0] - 1, g.dilation[1] - 1};
  try {
    return dnnl::convolution_forward::primitive_desc(
               cpu_engine(), dnnl::prop_kind::forward_inference,
               dnnl::algorithm::convolution_direct, x, any, y, g.stride, dilation, g.before,
               g.after, attributes())
        .impl_info_str();
  } catch (const dnnl::error&) {
    return "";
  }
}

/// Of a transposed convolution. oneDNN 3.2 has no kernel for several groups that works on channels_last,
/// and a slow one for kernels that reach far, whose results are wrong too.
Alternative by_rule_for_transposed(const Geometry& g) {
  if (g.groups > 1) return Alternative::kBlocked;
  return g.kernel[0] * g.kernel[1] > 256 ? Alternative::kLibTorch : Alternative::kChannelsLast;
}

/// Where oneDNN 3.2 may have no kernel of its own for channels_last, and copies the images to multiply
/// matrices, or computes as many channels as a register holds for the few that there are.
Alternative by_rule_for_few_channels(const Geometry& g, torch::Dtype dtype) {
  const std::string implementation = implementation_of(g, dtype);
  const bool copies = implementation == "x64:gemm:jit";
  const bool dilated = std::max(g.dilation[0], g.dilation[1]) > 1;
  if (copies && (g.is_depthwise() || dilated)) return Alternative::kBlocked;
  // LibTorch has another way for small images, which is slow on channels_last, as its 1x1 kernels are.
  const bool small = g.input[0] == 1 && element_count(g.input) <= 20'480;
  const bool by_torch = !small && g.kernel != Sizes{1, 1};
  if (copies && g.groups > 1) return by_torch ? Alternative::kLibTorch : Alternative::kBlocked;
  if (implementation == "jit:avx2" && g.groups == 1 && g.output[1] < 8) {
    return by_torch ? Alternative::kLibTorch : Alternative::kBlocked;
  }
  const bool avx512 = dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core;
  return copies && avx512 && by_torch ? Alternative::kLibTorch : Alternative::kChannelsLast;
}

/// Whether a shape is one that the rules were not made for.
bool is_unsure(const Geometry& g) {
  const int64_t shorter = std::min({g.input[2], g.input[3], g.output[2], g.output[3]});
  const int64_t longer = std::max({g.input[2], g.input[3], g.output[2], g.output[3]});
  if (g.is_pointwise()) return g.output[1] < 8;
  if (g.is_depthwise() && !g.transposed && std::max(g.kernel[0], g.kernel[1]) <= 7) {
    return std::max(g.dilation[0], g.dilation[1]) > 1;
  }
  return g.groups > 1 || g.transposed || g.output[1] < 8 || g.input[1] < 3 ||
         longer > 4 * shorter || longer < 4 || std::max(g.kernel[0], g.kernel[1]) > 9 ||
         std::max(g.dilation[0], g.dilation[1]) > 4;
}

int64_t multiplications(const Graph& plan) {
  int64_t all = 0;
  for (const Step& step : plan.steps) {
    const auto* c = std::get_if<Convolution>(&step);
    if (c == nullptr) continue;
    const Sizes& output = plan.value(c->output).sizes;
    all += c->linear ? element_count(output) * c->weight.size(1)
                     : Geometry::of(*c, plan.value(c->input).sizes, output).multiplications();
  }
  return all;
}

/// Whether a convolution takes enough of the plan's time for a better choice to be seen.
bool is_large(const Lowering& lowering, const Geometry& geometry) {
  constexpr int64_t least = 1'000'000;  // some 50 us where the kernel fits, more where it does not
  const int64_t own = geometry.multiplications();
  return own >= least && own >= multiplications(lowering.plan()) / 100;
}

/// Whether Winograd's algorithm may be the faster way: with fewer channels the transforms cost what the
/// products save.
bool suits_winograd(Lowering& lowering, const Convolution& c, const Geometry& g) {
  const auto [in, out] = std::pair(g.input[1], g.output[1]);
  return g.has_tiles() && std::min(in, out) >= 32 && in * out >= 32 * 64 && g.tiles(2) >= 16 &&
         can_winograd(lowering, c);
}

/// How many products of two numbers tiles of this size take for each pair of channels.
int64_t products_of(const Geometry& g, int64_t tile) {
  return g.tiles(tile) * winograd::Form{tile, g.kernel[0]}.places();
}

/// Whether tiles of this size may be the fastest ones.
bool is_promising(const Geometry& g, int64_t tile) {
  // With few tiles the time goes into reading the weights, of which a tile of 4x4 has 36 or 64 for each pair of channels.
  if (tile == 2) return g.tiles(4) < 64;
  return tile == 4 || 10 * products_of(g, tile) < 9 * products_of(g, 4);
}

/// The tile that should be the fastest one, where nothing is timed; 0 for none. A larger one is taken only where it
/// is measured as faster, since it rounds more.
int64_t tile_by_rule(const Geometry& g, int64_t largest) {
  return g.tiles(4) >= 16 ? std::min<int64_t>(4, largest) : 0;
}

/// What may be faster than the alternative of the rule.
std::vector<Alternative> rivals_of(const Geometry& g, Alternative rule, int64_t largest_tile) {
  std::vector<Alternative> result;
  for (const Alternative other : alternatives_of(g)) {
    const int64_t tile = tile_of(other);
    // What winograd is made for may be slower than the usual way alone.
    const bool promising = tile > 0 ? tile <= largest_tile && is_promising(g, tile)
                           : largest_tile > 0
                               ? other == Alternative::kChannelsLast
                               : other != Alternative::kTurned || g.input[3] < g.input[2];
    if (other != rule && promising) result.push_back(other);
  }
  return result;
}

}  // namespace

int64_t largest_tile(const EngineOptions& options, const Geometry& geometry) {
  const auto own = options.largest_tiles.find(geometry.key());
  return own == options.largest_tiles.end() ? options.largest_tile : own->second;
}

Alternative by_rule(const Geometry& g, torch::Dtype dtype) {
  // One image at a time is as fast the other way.
  if (g.sees_all() && (g.input[0] > 1 || g.transposed)) return Alternative::kProduct;
  if (g.is_pointwise()) {
    return g.output[1] == 1 ? Alternative::kProduct : Alternative::kChannelsLast;
  }
  if (is_column(g)) return Alternative::kTurned;
  if (g.transposed) return by_rule_for_transposed(g);
  const bool few = std::min(g.input[1], g.output[1]) < 8;
  if (g.groups > 1 || few) return by_rule_for_few_channels(g, dtype);
  return Alternative::kChannelsLast;
}

Alternative choose(Lowering& lowering, const Convolution& c) {
  const Geometry geometry = Geometry::of(c, lowering.sizes(c.input), lowering.sizes(c.output));
  const std::string key = geometry.key();
  if (const std::string* name = lowering.choice(key)) return *alternative_of(geometry, *name);
  const auto given = lowering.options().choices.find(key);
  Alternative result = Alternative::kChannelsLast;
  if (given != lowering.options().choices.end()) {
    result = alternative_of(geometry, given->second).value();
  } else {
    result = by_rule(geometry, lowering.memory().dtype());
    const bool winograd =
        result == Alternative::kChannelsLast && suits_winograd(lowering, c, geometry);
    const int64_t largest = winograd ? largest_tile(lowering.options(), geometry) : 0;
    result = winograd_of(tile_by_rule(geometry, largest)).value_or(result);
    if (lowering.options().timing && (largest > 0 || is_unsure(geometry)) &&
        is_large(lowering, geometry)) {
      result = fastest(lowering, c, geometry, result, rivals_of(geometry, result, largest));
    }
  }
  lowering.keep_choice(key, name_of(result));
  return result;
}

}  // namespace convkit::detail

// What compile() makes of a single block, by oneDNN and by LibTorch's fused operators, and what a
// call of it costs where there is next to nothing to compute.
#include "bench.h"
#include "workloads.h"

#include <convkit/compile.h>
#include <convkit/module.h>

#include <benchmark/benchmark.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace {

using torch::Tensor;

struct Workload {
  std::string title;
  std::string name;
  std::vector<int64_t> sizes;
};

const std::vector<Workload> kWorkloads = {
    {"ConvBlock 8 to 8", "conv_8_8", {1, 8, 8, 8}},
    {"ConvBlock 3 to 64", "conv_3_64", {1, 3, 224, 224}},
    {"ConvBlock 64 to 64", "conv_64_64", {1, 64, 56, 56}},
    {"SeparableConv2d", "separable", {1, 64, 56, 56}},
    {"SeparableConv2d with norms", "separable_norm", {1, 64, 56, 56}},
    {"Upsampler, transposed", "up_transposed", {1, 64, 56, 56}},
    {"Upsampler, bilinear", "up_bilinear", {1, 64, 56, 56}},
    {"Upsampler, pixel shuffle", "up_pixel_shuffle", {1, 64, 56, 56}},
    {"InvertedResidual", "inverted_residual", {1, 24, 56, 56}},
};

/// One of a workload's rivals.
struct Side {
  std::string name;
  std::function<Tensor(const Tensor&)> forward;
};

/// The plain module first. In and out are contiguous.
std::vector<Side> sides_of(const Workload& workload, const Tensor& x) {
  const auto module = bench::make_module(workload.name);
  std::vector<Side> sides = {
      {"plain", [module](const Tensor& input) { return convkit::forward_child(*module, input); }}};
  for (const bool onednn : {true, false}) {
    convkit::CompileOptions options;
    options.memory_format = torch::MemoryFormat::Contiguous;
    options.onednn = onednn;
    const auto fast = convkit::compile(module, x, options);
    const bool is_onednn = convkit::explain(fast).plans.front().engine.starts_with("oneDNN");
    if (is_onednn == onednn) sides.push_back({onednn ? "oneDNN" : "LibTorch", fast});
  }
  return sides;
}

bool is_near(const Tensor& y, const Tensor& expected) {
  const double scale = expected.abs().max().item<double>();
  return (y - expected).abs().max().item<double>() <= 1e-4 * scale;
}

}  // namespace

int main(int argc, char** argv) {
  if (!bench::initialize(argc, argv, /*repetitions=*/51)) return 2;
  const torch::NoGradGuard no_grad;
  for (const Workload& workload : kWorkloads) {
    const Tensor x = torch::randn(workload.sizes);
    const std::vector<Side> sides = sides_of(workload, x);
    const Tensor expected = sides[0].forward(x);
    for (const Side& side : sides) {
      if (!is_near(side.forward(x), expected)) {
        std::fprintf(stderr, "%s, %s computes something else\n", workload.title.c_str(),
                     side.name.c_str());
        return 1;
      }
      benchmark::RegisterBenchmark((workload.title + ", " + side.name).c_str(),
                                   [forward = side.forward, x](benchmark::State& state) {
                                     const torch::NoGradGuard without;
                                     for (auto _ : state) benchmark::DoNotOptimize(forward(x));
                                   });
    }
  }
  bench::Medians medians;
  benchmark::RunSpecifiedBenchmarks(&medians);

  std::printf("\n%-28s  plain / compiled, median CPU time\n%-28s  %8s  %8s\n", "", "", "oneDNN",
              "LibTorch");
  for (const Workload& workload : kWorkloads) {
    const std::string plain = workload.title + ", plain";
    std::printf("%-28s", workload.title.c_str());
    for (const char* side : {", oneDNN", ", LibTorch"}) {
      std::printf("  %8.2f", medians.ratio(plain, workload.title + side));
    }
    const auto found = medians.of.find(workload.title + ", oneDNN");
    if (found != medians.of.end()) std::printf("  %10.2f us", found->second / 1000);
    std::printf("\n");
  }
}

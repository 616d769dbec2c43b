// What a module costs over the same calls of LibTorch's functions, on images so small that it
// shows.
#include "bench.h"

#include <convkit/convkit.h>

#include <ATen/ATen.h>
#include <benchmark/benchmark.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace {

using torch::Tensor;
using Forward = std::function<Tensor(const Tensor&)>;

const torch::ExpandingArray<2> kOne(1);

Tensor conv2d(const Tensor& x, torch::nn::Conv2d& conv, int64_t padding, int64_t groups) {
  return at::conv2d(x, conv->weight, conv->bias, kOne, torch::ExpandingArray<2>(padding), kOne,
                    groups);
}

/// A module and the functions that it stands for, with its weights.
struct Pair {
  std::string name;
  Forward module;
  Forward raw;
};

std::vector<Pair> pairs() {
  std::vector<Pair> result;

  convkit::ConvBlock block(8, 8);
  block->eval();
  result.push_back({"ConvBlock", [=](const Tensor& x) mutable { return block(x); },
                    [=](const Tensor& x) mutable {
                      const auto& bn = block->bn;
                      Tensor y = at::batch_norm(conv2d(x, block->conv, 1, 1), bn->weight, bn->bias,
                                                bn->running_mean, bn->running_var, false, 0.1, 1e-5,
                                                at::globalContext().userEnabledCuDNN());
                      return at::relu_(y);
                    }});

  convkit::SeparableConv2d separable(8, 8);
  result.push_back({"SeparableConv2d", [=](const Tensor& x) mutable { return separable(x); },
                    [=](const Tensor& x) mutable {
                      return conv2d(conv2d(x, separable->depthwise, 1, 8), separable->pointwise, 0,
                                    1);
                    }});

  convkit::Upsampler transposed(8, 8);
  result.push_back({"Upsampler, transposed", [=](const Tensor& x) mutable { return transposed(x); },
                    [=](const Tensor& x) mutable {
                      auto& conv = transposed->conv_transpose;
                      return at::conv_transpose2d(x, conv->weight, conv->bias, 2, 1, 0);
                    }});

  convkit::Upsampler bilinear(
      convkit::UpsamplerOptions(8, 8).mode(convkit::UpsampleMode::kBilinear));
  result.push_back({"Upsampler, bilinear", [=](const Tensor& x) mutable { return bilinear(x); },
                    [=](const Tensor& x) mutable {
                      return conv2d(at::upsample_bilinear2d(x, {16, 16}, false, 2., 2.),
                                    bilinear->conv, 1, 1);
                    }});

  convkit::Upsampler shuffle(
      convkit::UpsamplerOptions(8, 8).mode(convkit::UpsampleMode::kPixelShuffle));
  result.push_back({"Upsampler, pixel shuffle", [=](const Tensor& x) mutable { return shuffle(x); },
                    [=](const Tensor& x) mutable {
                      return at::pixel_shuffle(conv2d(x, shuffle->conv, 1, 1), 2);
                    }});
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (!bench::initialize(argc, argv, /*repetitions=*/151)) return 2;
  const c10::InferenceMode inference;
  const Tensor x = torch::randn({1, 8, 8, 8});
  const std::vector<Pair> compared = pairs();
  for (const Pair& pair : compared) {
    if (!torch::equal(pair.module(x), pair.raw(x))) {
      std::fprintf(stderr, "%s computes something else\n", pair.name.c_str());
      return 1;
    }
    for (const bool raw : {false, true}) {
      benchmark::RegisterBenchmark(
          (pair.name + (raw ? ", functions" : ", module")).c_str(),
          [forward = raw ? pair.raw : pair.module, &x](benchmark::State& state) {
            for (auto _ : state) benchmark::DoNotOptimize(forward(x));
          });
    }
  }
  bench::Medians medians;
  benchmark::RunSpecifiedBenchmarks(&medians);

  std::printf("\n%-28s  module / functions, median CPU time on [1, 8, 8, 8]\n", "");
  for (const Pair& pair : compared) {
    const double ratio = medians.ratio(pair.name + ", module", pair.name + ", functions");
    if (ratio > 0) std::printf("%-28s  %.3f\n", pair.name.c_str(), ratio);
  }
}

#pragma once

#include <convkit/compile.h>

#include "support.h"

#include <torch/nn/module.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The tests of compile() share these.
namespace support {

using convkit::Compiled;
using convkit::CompileOptions;
using Forward = std::function<Compiled::Tensors(const Compiled::Tensors&)>;

/// Statistics and affine parameters of their own, so that no folded number is 0 or 1.
inline void settle(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (auto& buffer : module.named_buffers()) {
    if (buffer.key().ends_with("running_mean")) buffer.value().normal_(0, 0.2);
    if (buffer.key().ends_with("running_var")) buffer.value().uniform_(0.5, 1.5);
  }
  for (auto& parameter : module.named_parameters()) {
    if (parameter.value().dim() != 1) continue;
    if (parameter.key().ends_with("bias")) {
      parameter.value().normal_(0, 0.2);
    } else {
      parameter.value().uniform_(0.5, 1.5);
    }
  }
  module.eval();
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// How the shape that was used last is computed.
inline convkit::PlanExplanation plan_of(const Compiled& fast) {
  return convkit::explain(fast).plans.at(0);
}

/// The largest difference, relative to the largest expected number.
inline double distance(const torch::Tensor& found, const torch::Tensor& expected) {
  const double scale = expected.abs().max().item<double>();
  return (found.to(torch::kDouble) - expected.to(torch::kDouble)).abs().max().item<double>() /
         scale;
}

inline void check_alive(const torch::Tensor& y) {
  CHECK(y.isfinite().all().item<bool>());
  CHECK((y.numel() == 1 || (y.max() - y.min()).item<double>() > 0));
}

/// Compiles with the inputs' sizes and other values, by both engines, and compares. Float32 sums in
/// another order, with folded weights: its rounding is 6e-8 of each term.
inline void check_compiled(const std::shared_ptr<torch::nn::Module>& module, const Forward& forward,
                           const Compiled::Tensors& inputs, double tolerance = 1e-5,
                           CompileOptions options = {}) {
  const torch::NoGradGuard no_grad;
  const auto expected = forward(inputs);
  Compiled::Tensors examples;
  Compiled::Tensors kept;
  for (const torch::Tensor& input : inputs) {
    kept.push_back(input.clone());
    examples.push_back(input.is_floating_point() ? torch::randn_like(input) : input);
  }
  options.timing = false;
  for (const bool onednn : {true, false}) {
    options.onednn = onednn;
    const Compiled fast = convkit::compile(module, forward, examples, options);
    const convkit::Explanation explanation = convkit::explain(fast);
    INFO(explanation);
    CHECK_FALSE(explanation.plans.front().fell_back);
    const auto found = fast(inputs);
    REQUIRE(found.size() == expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      INFO("result " << i << " of size " << expected[i].sizes());
      REQUIRE(found[i].sizes() == expected[i].sizes());
      CHECK(found[i].dtype() == expected[i].dtype());
      check_alive(expected[i]);
      CHECK(distance(found[i], expected[i]) <= tolerance);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(torch::equal(inputs[i], kept[i]));
  }
}

/// The same for a module of one input, contiguous and channels_last, in float32 and bfloat16.
template <typename Holder>
void check_compiled(Holder module, const torch::Tensor& x, double tolerance = 1e-5) {
  settle(*module);
  const Forward forward = [module](const Compiled::Tensors& inputs) mutable {
    return Compiled::Tensors{module(inputs[0])};
  };
  check_compiled(module.ptr(), forward, {x}, tolerance);
  if (x.dim() != 4) return;
  check_compiled(module.ptr(), forward, {x.contiguous(torch::MemoryFormat::ChannelsLast)},
                 tolerance, {.memory_format = torch::MemoryFormat::Contiguous});
  // bfloat16 has 8 bits, and a chain of layers rounds each time.
  check_compiled(module.ptr(), forward, {x}, 4e-2, {.dtype = torch::kBFloat16});
}

}  // namespace support

#include "compile/proof.h"

#include "compile/tape/refusals.h"
#include "compile/tape/tape_recorder.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

namespace convkit::detail {

namespace {

/// Tensors of the same sizes, types and layouts with other values. LibTorch's random state stays as it is.
Tensors other_values(const Tensors& inputs) {
  at::Generator generator = at::detail::createCPUGenerator(20'240'229);
  Tensors results;
  for (const torch::Tensor& input : inputs) {
    torch::Tensor values;
    if (input.is_floating_point() || input.is_complex()) {
      values = at::randn(input.sizes(), generator, input.options().device(torch::kCPU));
    } else {  // the same numbers in another order: an index has to stay one
      const torch::Tensor order = at::randperm(input.numel(), generator, at::kLong);
      values = input.cpu().reshape(-1).index({order}).view(input.sizes());
    }
    results.push_back(at::empty_like(input).copy_(values));
  }
  return results;
}

void check_close(const Tensors& results, const Tensors& expected, double tolerance) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const torch::Tensor& y = expected[i];
    refuse_unless(results[i].sizes() == y.sizes() && results[i].dtype() == y.dtype(),
                  "the plan gives ", results[i].sizes(), ", the module ", y.sizes());
    if (y.numel() == 0) continue;
    if (!y.is_floating_point()) {
      refuse_unless(at::equal(results[i], y), "the plan gives other numbers than the module");
      continue;
    }
    const torch::Tensor exact = y.to(torch::kDouble);
    const double scale = exact.nan_to_num(0, 0, 0).abs().max().item<double>();
    const torch::Tensor found = results[i].to(torch::kDouble);
    if (at::allclose(found, exact, 0, tolerance * scale, true)) continue;
    refuse(c10::str("the plan's result differs from the module's by ",
                    (found - exact).abs().max().item<double>(), " of ", scale));
  }
}

}  // namespace

Proof::Proof(const torch::nn::Module& module, const Forward& forward, const Tensors& inputs)
    : others_(other_values(inputs)) {
  Tensors outputs;
  // Recorded on copies: a module that writes to its input is refused only after it has done so.
  tape_ = record_tape(module, forward, copies(inputs), &outputs);
  check_same(tape_, record_tape(module, forward, copies(others_), &expected_));
  // On CUDA, cuDNN may choose another algorithm the second time.
  const bool cuda =
      std::any_of(inputs.begin(), inputs.end(), [](const torch::Tensor& x) { return x.is_cuda(); });
  check_close(replay(tape_, copies(others_)), expected_, cuda ? 1e-3 : 0);
}

void Proof::check(Engine& engine, double tolerance) const {
  check_close(engine.run(others_), expected_, tolerance);
}

}  // namespace convkit::detail

// Inference in bfloat16, with 8 bits of mantissa instead of 24: down to half the time where the processor has it, and
// errors of up to a few percent. Where it would be slower than the module itself, the module's own operators run.
#include <convkit/convkit.h>

#include <iostream>

int main() {
  torch::manual_seed(0);
  auto net = convkit::models::create("resnet18");
  net->eval();
  const torch::Tensor x = torch::randn({1, 3, 96, 96});

  auto fast = convkit::compile(net, x, {.dtype = torch::kBFloat16});
  const torch::Tensor y = fast(x);  // float32, as the module's

  const torch::NoGradGuard no_grad;
  const torch::Tensor exact = net(x);
  const double error = ((y - exact).abs().max() / exact.abs().max()).item<double>();
  std::cout << "results in " << y.dtype()
            << ", the largest error is below 5 %: " << (error < 0.05 ? "yes" : "no") << '\n';
}

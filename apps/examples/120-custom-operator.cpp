// An operator of your own within a compiled network: compile() leaves it as it is, and makes the rest fast.
#include <convkit/convkit.h>

#include <torch/library.h>

#include <iostream>

namespace {

/// y = x / sqrt(mean of x^2 over the channels)
torch::Tensor unit_energy(const torch::Tensor& x) {
  return x * torch::rsqrt(x.square().mean(1, true) + 1e-6);
}

/// Once LibTorch's dispatcher knows it by a name, compile() sees one operator, and Python calls it as
/// torch.ops.example.unit_energy.
TORCH_LIBRARY(example, library) {
  library.def("unit_energy(Tensor x) -> Tensor");
  library.impl("unit_energy", c10::DispatchKey::CompositeExplicitAutograd, TORCH_FN(unit_energy));
}

struct NormalizedImpl : convkit::Block<NormalizedImpl> {
  NormalizedImpl() { NormalizedImpl::reset(); }
  void reset() override {
    first = register_module("first", convkit::ConvBlock(3, 16));
    second = register_module("second", convkit::ConvBlock(16, 8));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    static const auto energy = c10::Dispatcher::singleton()
                                   .findSchemaOrThrow("example::unit_energy", "")
                                   .typed<torch::Tensor(const torch::Tensor&)>();
    return second(energy.call(first(x)));
  }
  convkit::ConvBlock first{nullptr};
  convkit::ConvBlock second{nullptr};
};
CONVKIT_MODULE(Normalized);

}  // namespace

int main() {
  torch::manual_seed(0);
  Normalized net;
  net->eval();
  const torch::Tensor x = torch::randn({1, 3, 32, 32});
  auto fast = convkit::compile(net, x);
  const convkit::Explanation explanation = convkit::explain(fast);
  for (const auto& step : explanation.plans[0].steps) {
    std::cout << step.what << "  by " << step.by << '\n';
  }
  const torch::NoGradGuard no_grad;
  std::cout << "close to the plain module's result: "
            << (torch::allclose(fast(x), net(x), 1e-4, 1e-5) ? "yes" : "no") << '\n';
}

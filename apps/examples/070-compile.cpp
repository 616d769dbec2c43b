// Inference made fast, and what became of the network for it.
#include <convkit/convkit.h>

#include <iostream>

int main() {
  torch::manual_seed(0);
  auto net = convkit::models::create("mobilenet_v2");
  const torch::Tensor x = torch::randn({1, 3, 224, 224});

  net->eval();
  auto fast = convkit::compile(net, torch::randn({1, 3, 224, 224}));
  torch::Tensor y = fast(x);  // any shape: a new one is planned on its first call

  const torch::NoGradGuard no_grad;
  std::cout << "close to the plain module's result: "
            << (torch::allclose(y, net(x), 1e-4, 1e-5) ? "yes" : "no") << '\n'
            << convkit::explain(fast);
}

#include <convkit/convkit.h>

#include <iostream>

struct TinyNetImpl : convkit::Block<TinyNetImpl> {
  TinyNetImpl() { TinyNetImpl::reset(); }
  void reset() override {
    body = register_module(
        "body", convkit::Sequential{convkit::ConvBlock(3, 16), convkit::SeparableConv2d(16, 32),
                                    convkit::Upsampler(32, 8)});
  }
  torch::Tensor forward(const torch::Tensor& x) override { return body(x); }
  convkit::Sequential body{nullptr};
};
CONVKIT_MODULE(TinyNet);

int main() {
  torch::manual_seed(0);  // the same weights as in Python
  TinyNet net;
  std::cout << net << '\n' << net(torch::randn({1, 3, 32, 32})).sizes() << '\n';
}

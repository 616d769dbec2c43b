// A project that uses convkit: a module of its own, compiled, a cast and an error across the library.
#include <convkit/convkit.h>

#include <iostream>

namespace {

namespace F = torch::nn::functional;

struct HeadImpl : convkit::Block<HeadImpl> {
  HeadImpl() { HeadImpl::reset(); }
  void reset() override {
    body = register_module(
        "body", convkit::Sequential{convkit::ConvBlock(3, 8), convkit::SeparableConv2d(8, 4)});
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = body(F::pad(x, F::PadFuncOptions({0, 1, 0, 1})));
    return F::interpolate(y, F::InterpolateFuncOptions().scale_factor(std::vector<double>{2, 2}));
  }
  convkit::Sequential body{nullptr};
};
CONVKIT_MODULE(Head);

}  // namespace

int main() {
  Head head;
  const auto copy = std::dynamic_pointer_cast<HeadImpl>(head->clone());
  const torch::Tensor x = torch::randn({1, 3, 8, 8});
  head->eval();
  copy->eval();
  if (!torch::equal(head(x), copy->forward(x))) return 1;
  if (std::dynamic_pointer_cast<convkit::ConvBlockImpl>((*head->body)[0]) == nullptr) return 2;
  // The holder's call here and forward_child in the library mark modules in the same variable.
  if (convkit::detail::Running::innermost != nullptr) return 3;
  const auto fast = convkit::compile(head, x);
  if (!torch::allclose(fast(x), head(x), 1e-4, 1e-5)) return 5;
  try {
    convkit::ConvBlock block(convkit::ConvBlockOptions(3, 8).stride(0));
  } catch (const c10::ValueError& error) {
    std::cout << error.what_without_backtrace() << '\n';
    return 0;
  }
  return 4;
}

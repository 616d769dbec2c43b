// The example of src/README.md, which follows a block through the rooms of the library:
// worked_example module|tape|plan|program. It looks behind the public headers, as a program of yours need not.
#include <convkit/compile.h>
#include <convkit/module.h>

#include "compile/plan/plan.h"
#include "compile/tape/tape_recorder.h"

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <ATen/Parallel.h>

#include <iostream>

namespace {

/// y = relu(bn(conv(x)) + x).
struct ResidualImpl : convkit::Block<ResidualImpl> {
  ResidualImpl() { ResidualImpl::reset(); }
  void reset() override {
    const auto options = torch::nn::Conv2dOptions(16, 16, 3).padding(1).bias(false);
    conv = register_module("conv", torch::nn::Conv2d(options));
    bn = register_module("bn", torch::nn::BatchNorm2d(16));
  }
  torch::Tensor forward(const torch::Tensor& x) override { return torch::relu(bn(conv(x)) + x); }

  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
};
CONVKIT_MODULE(Residual);

}  // namespace

int main(int argc, char** argv) {
  const std::string stage = argc == 2 ? argv[1] : "";
  at::set_num_threads(1);
  torch::manual_seed(0);
  Residual net;
  net->eval();
  const torch::Tensor x = torch::randn({1, 16, 8, 8});
  const auto forward = [&](const convkit::Compiled::Tensors& inputs) {
    return convkit::Compiled::Tensors{net(inputs[0])};
  };
  std::vector<torch::Tensor> results;
  const auto tape = convkit::detail::record_tape(*net, forward, {x}, &results);
  if (stage == "module") {
    std::cout << net << '\n';
  } else if (stage == "tape") {
    std::cout << text_of(tape);
  } else if (stage == "plan") {
    convkit::detail::ConstantPool pool;
    const auto plan = convkit::detail::make_plan(tape, /*fuse=*/true, pool);
    std::cout << text_of(plan);
    for (const auto& [what, times] : plan.notes) std::cout << what << ": " << times << '\n';
  } else if (stage == "program") {
    std::cout << convkit::explain(convkit::compile(net, x, {.timing = false}));
  } else {
    std::cerr << "usage: worked_example module|tape|plan|program\n";
    return 2;
  }
}

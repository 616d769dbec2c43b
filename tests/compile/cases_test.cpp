// Modules of public bug reports against compilers of networks, each the smallest of its kind.
#include <convkit/compile.h>
#include <convkit/module.h>

#include "compile/compile_support.h"

#include <torch/fft.h>
#include <torch/nn/functional/upsampling.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

namespace {

using namespace convkit;
using support::distance;
using torch::randn;
using Tensor = torch::Tensor;
using Tensors = Compiled::Tensors;

/// The layers of all cases: a and c are convolutions, b a batch norm.
struct CaseImpl : Block<CaseImpl> {
  CaseImpl() { CaseImpl::reset(); }
  void reset() override {
    a = register_module("a", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3).padding(1)));
    b = register_module("b", torch::nn::BatchNorm2d(8));
    c = register_module("c", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 3).padding(1)));
  }
  Tensor forward(const Tensor& x) override { return c(b(a(x)).relu()); }

  torch::nn::Conv2d a{nullptr};
  torch::nn::BatchNorm2d b{nullptr};
  torch::nn::Conv2d c{nullptr};
};
CONVKIT_MODULE(Case);

using Body = std::function<Tensors(CaseImpl&, const Tensor&)>;

std::shared_ptr<CaseImpl> settled() {
  torch::manual_seed(5);
  Case net;
  support::settle(*net);
  return net.ptr();
}

/// Compiled for one example, a body gives the module's results for inputs of several scales and another size, by both
/// engines, and some of its steps run by oneDNN. Sums of float32 differ in their last bits.
void check_case(const Body& body, double tolerance = 1e-5) {
  const torch::NoGradGuard no_grad;
  const auto net = settled();
  const auto forward = [net, body](const Tensors& inputs) { return body(*net, inputs[0]); };
  for (const bool onednn : {true, false}) {
    const Compiled fast =
        compile(net, forward, {randn({2, 3, 6, 8})}, {.onednn = onednn, .timing = false});
    for (const Tensor& x : {randn({2, 3, 6, 8}), 100 * randn({2, 3, 6, 8}),
                            0.001 * randn({2, 3, 6, 8}), randn({2, 3, 8, 6})}) {
      const Tensors expected = forward({x});
      const Tensors found = fast(Tensors{x});
      const PlanExplanation plan = support::plan_of(fast);
      INFO(explain(fast));
      CHECK_FALSE(plan.fell_back);
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        REQUIRE(found[i].sizes() == expected[i].sizes());
        REQUIRE(found[i].dtype() == expected[i].dtype());
        const bool complex = found[i].is_complex();
        CHECK(distance(complex ? torch::view_as_real(found[i]) : found[i],
                       complex ? torch::view_as_real(expected[i]) : expected[i]) <= tolerance);
      }
      const bool some = std::any_of(plan.steps.begin(), plan.steps.end(), [](const auto& step) {
        return step.by == "oneDNN" && step.what.starts_with("conv2d");
      });
      CHECK(some == plan.engine.starts_with("oneDNN"));
    }
  }
}

void check_case(const std::function<Tensor(CaseImpl&, const Tensor&)>& body,
                double tolerance = 1e-5) {
  check_case(Body([body](CaseImpl& m, const Tensor& x) { return Tensors{body(m, x)}; }), tolerance);
}

/// Whole numbers may differ where the float that was rounded lies on an edge: in one of a thousand.
void check_rounded(const std::function<Tensor(CaseImpl&, const Tensor&)>& body, int64_t size) {
  const torch::NoGradGuard no_grad;
  const auto net = settled();
  const auto forward = [net, body](const Tensors& inputs) {
    return Tensors{body(*net, inputs[0])};
  };
  for (const bool onednn : {true, false}) {
    const Compiled fast =
        compile(net, forward, {randn({1, 3, size, size})}, {.onednn = onednn, .timing = false});
    for (const int64_t width : {size, size + 5}) {
      const Tensor x = randn({1, 3, size, width});
      const Tensor expected = forward({x})[0];
      const Tensor found = fast(Tensors{x})[0];
      REQUIRE(found.dtype() == expected.dtype());
      support::check_alive(expected.to(torch::kFloat32));
      CHECK(found.ne(expected).to(torch::kFloat32).mean().item<double>() <= 1e-3);
      CHECK_FALSE(support::plan_of(fast).fell_back);
    }
  }
}

}  // namespace

TEST_CASE("memory that is written through a view of it lies as it was recorded",
          "[compile][cases]") {
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor y = m.a(x).permute({0, 2, 3, 1}).contiguous() + .1;
    y.reshape({-1, 8}).clamp_(-6, 6);
    return y * 2;
  });
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor y = m.a(x).transpose(2, 3).contiguous().abs();
    y.flatten(1).clamp_max_(9);
    return y + 0;
  });
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor s = m.a(x).transpose(2, 3).contiguous() * 1.5;
    s.narrow(1, 0, 2).mul_(2);
    return s.view({x.size(0), -1});
  });
  check_case([](CaseImpl& m, const Tensor& x) {  // a copy when it was recorded
    const Tensor y = m.a(x);
    const Tensor rows = y.transpose(1, 3).reshape({-1, 8});
    rows.narrow(1, 0, 3).mul_(3);
    return torch::cat({y.permute({0, 2, 3, 1}).reshape({-1, 8}), rows}, 1);
  });
  check_case([](CaseImpl& m, const Tensor& x) {  // an operator that gives no result
    const Tensor y = m.a(x);
    std::vector<Tensor> both{y, y.tanh()};
    at::_foreach_add_(both, 1.5);
    return both[0] * both[1];
  });
  check_case([](CaseImpl& m, const Tensor& x) {  // what the copy was made of is used afterwards
    const Tensor y = m.a(x).relu();
    const Tensor copy = y.contiguous(torch::MemoryFormat::ChannelsLast);
    copy.narrow(1, 7, 1).add_(y.narrow(1, 0, 1).clone());
    return torch::cat({y, copy}, 1);
  });
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor y = m.a(x).tanh().transpose(2, 3);
    const Tensor copy = y.clone();
    copy.narrow(3, 1, 5).copy_(copy.narrow(3, 0, 5) * 0.8);
    return y - 2 * copy;
  });
  check_case([](CaseImpl& m, const Tensor& x) {  // a convolution of it, before and after
    Tensor y = m.a(x);
    const Tensor before = m.c(y);
    y.select(2, 0).fill_(1);
    return before.relu() + m.c(y);
  });
}

TEST_CASE("detections are decoded in place, slice by slice", "[compile][cases]") {
  check_case([](CaseImpl& m, const Tensor& x) {
    Tensor y = m.c(m.a(x)).view({x.size(0), 2, 4, x.size(2), x.size(3)}).permute({0, 1, 3, 4, 2});
    y = y.contiguous().sigmoid();
    y.slice(4, 0, 2).mul_(2).sub_(0.5);
    y.slice(4, 2, 4).copy_((y.slice(4, 2, 4) * 2).pow(2) * 3);
    return y.view({x.size(0), -1, 4});
  });
}

TEST_CASE("results that a last bit may flip are proven by what they are made of",
          "[compile][cases]") {
  check_rounded([](CaseImpl& m, const Tensor& x) { return m.c(m.a(x).relu()).argmax(1); }, 192);
  check_rounded(
      [](CaseImpl& m, const Tensor& x) { return (m.b(m.a(x)).relu() > 0).to(torch::kByte); }, 64);
  check_rounded([](CaseImpl& m,
                   const Tensor& x) { return (m.a(x).sigmoid() * 255).round().to(torch::kByte); },
                128);
  check_rounded([](CaseImpl& m, const Tensor& x) { return (m.a(x).tanh() * 4).round(); }, 96);
  check_rounded(
      [](CaseImpl& m, const Tensor& x) {
        const Tensor y = m.a(x);
        return m.c(y.masked_fill(y < 0.1, -1.0)).argmax(1);
      },
      64);
}

TEST_CASE("an operator that asks for strides gets those that were recorded", "[compile][cases]") {
  check_case([](CaseImpl& m, const Tensor& x) {
    return m.a(x).view_as(torch::zeros({x.size(0), 8 * x.size(2) * x.size(3)}));
  });
  check_case([](CaseImpl& m, const Tensor& x) {
    return torch::view_as_complex(m.a(x).unflatten(3, {-1, 2}));
  });
  check_case(
      [](CaseImpl& m, const Tensor& x) { return torch::kron(m.a(x), torch::ones({1, 1, 2, 2})); });
  check_case(
      [](CaseImpl& m, const Tensor& x) { return m.a(x).view(torch::kInt).view(torch::kFloat); });
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor y = m.c(m.a(x));
    return m.c(y).flatten() + y.as_strided({y.numel()}, {1});
  });
  check_case([](CaseImpl& m, const Tensor& x) {  // of the input
    return m.a(x).sum() + x.as_strided({x.numel() - 1}, {1}, 1);
  });
}

TEST_CASE("complex numbers pass", "[compile][cases]") {
  check_case([](CaseImpl& m, const Tensor& x) { return torch::fft::rfft2(m.b(m.a(x))); });
  check_case([](CaseImpl& m, const Tensor& x) { return torch::complex(m.a(x), m.c(m.a(x))); });
  check_case([](CaseImpl& m, const Tensor& x) {
    return m.c(torch::fft::ifft2(torch::fft::fft2(m.a(x)).conj()).abs());
  });
  check_case([](CaseImpl& m, const Tensor& x) {  // negated lazily
    return m.c(torch::imag(torch::complex(m.a(x), m.a(x) * 2).conj()));
  });
}

TEST_CASE("an empty piece of a concatenation is none", "[compile][cases]") {
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor y = m.a(x);
    return m.c(torch::cat({y, y.narrow(1, 0, 0)}, 1));
  });
}

TEST_CASE("a tensor whose shape alone is used may be of any numbers", "[compile][cases]") {
  check_case([](CaseImpl& m, const Tensor& x) {
    return m.a(x).reshape_as(torch::empty({x.size(0), 4, 2 * x.size(2), x.size(3)}));
  });
  check_case([](CaseImpl& m, const Tensor& x) {
    const Tensor y = m.a(x);
    return y + y.mean({2, 3}, true).expand_as(torch::empty_like(y));
  });
}

TEST_CASE("one operator that oneDNN cannot be tried with leaves the others to it",
          "[compile][cases]") {
  check_case(
      [](CaseImpl& m, const Tensor& x) {  // an inverse of what is near to 10 I
        const Tensor y = m.c(m.a(x)).flatten(2).narrow(2, 0, 8);
        return torch::linalg_inv(0.001 * y + 10 * torch::eye(8));
      },
      1e-4);
  check_case(
      [](CaseImpl& m, const Tensor& x) {
        const Tensor y = m.c(m.a(x)).tanh().flatten(2).narrow(2, 0, 8);
        return torch::linalg_cholesky(y.matmul(y.transpose(1, 2)) + torch::eye(8));
      },
      1e-4);
  check_case([](CaseImpl& m, const Tensor& x) {  // elements that overlap
    return m.c(m.a(x)).unfold(2, 3, 1).sum(4) + m.a(x).unfold(2, 3, 1).select(4, 1);
  });
  check_case([](CaseImpl& m, const Tensor& x) { return m.a(x).unfold(3, 3, 2); });
  check_case(
      [](CaseImpl& m, const Tensor& x) {  // a mask and an index beside memory that is written
        Tensor y = m.c(m.a(x));
        const Tensor part = y.narrow(1, 0, 4);
        part.masked_fill_(part > 0.2, 0.5);
        part.index_put_({torch::tensor({0, 1})}, torch::tensor(2.0F));
        return y + x.mean();
      });
}

TEST_CASE("an operator that LibTorch does not have in bfloat16 is computed in float32",
          "[compile][cases]") {
  const torch::NoGradGuard no_grad;
  const auto net = settled();
  namespace F = torch::nn::functional;
  const auto forward = [net](const Tensors& inputs) {
    const Tensor y = net->c(net->a(inputs[0]));
    return Tensors{net->c(F::interpolate(y, F::InterpolateFuncOptions()
                                                .size(std::vector<int64_t>{5, 4})
                                                .mode(torch::kBilinear)
                                                .align_corners(false)
                                                .antialias(true))),
                   torch::conv2d((inputs[0] > 0).to(torch::kFloat32), torch::ones({2, 3, 3, 3}))};
  };
  const Tensor x = randn({2, 3, 6, 8});
  for (const bool onednn : {true, false}) {
    const Compiled fast = compile(net, forward, {randn({2, 3, 6, 8})},
                                  {.dtype = torch::kBFloat16, .onednn = onednn, .timing = false});
    const Tensors found = fast(Tensors{x});
    const Tensors expected = forward({x});
    CHECK_FALSE(support::plan_of(fast).fell_back);
    for (std::size_t i = 0; i < 2; ++i) {
      CHECK(distance(found[i], expected[i]) < 0.03);  // bfloat16 has 8 bits
      CHECK(found[i].dtype() == torch::kFloat32);
    }
  }
}

TEST_CASE("an input that is not dense lies as a copy of it whose dimensions have the same order",
          "[compile][cases]") {
  const torch::NoGradGuard no_grad;
  const auto net = settled();
  const std::vector<std::function<Tensor(CaseImpl&, const Tensor&)>> bodies = {
      [](CaseImpl& m, const Tensor& x) {  // a copy or a view, by the strides of x
        const Tensor v = torch::selu(x);
        const Tensor f = v.flatten(2);
        v.copy_(m.c(m.a(v)).narrow(1, 0, 3));
        return f;
      },
      [](CaseImpl& m, const Tensor& x) {
        const Tensor v = (x - x.mean({2, 3}, true)) * 0.5;
        v.reshape({-1, v.size(-1)}).clamp_(-.3, .3);
        return m.a(v);
      }};
  for (const auto& body : bodies) {
    const auto forward = [&](const Tensors& inputs) { return Tensors{body(*net, inputs[0])}; };
    for (const bool onednn : {true, false}) {
      const Compiled fast =
          compile(net, forward, {randn({2, 3, 6, 8})}, {.onednn = onednn, .timing = false});
      for (const Tensor& x :
           {randn({2, 8, 6, 3}).transpose(1, 3), randn({6, 2, 8, 3}).permute({1, 3, 0, 2}),
            randn({4, 3, 9, 16}).slice(0, 1, 3).slice(2, 2, 8).slice(3, 0, 16, 2),
            randn({2, 16, 6, 3}).transpose(1, 3).slice(3, 8),
            randn({1, 3, 6, 8}).expand({2, 3, 6, 8}), randn({2, 1, 6, 1}).expand({2, 3, 6, 8})}) {
        INFO("strides " << x.strides());
        CHECK(distance(fast(Tensors{x})[0], forward({x})[0]) < 1e-5);
      }
    }
  }
}

TEST_CASE("a look at an input's memory by strides is refused where it has gaps",
          "[compile][cases][errors]") {
  const torch::NoGradGuard no_grad;
  const auto net = settled();
  const auto forward = [&](const Tensors& inputs) {
    return Tensors{net->a(inputs[0]).sum() + inputs[0].as_strided({12}, {1})};
  };
  const Compiled fast = compile(net, forward, {randn({2, 3, 6, 8})}, {.timing = false});
  const Tensor x = randn({2, 3, 6, 8});
  CHECK(distance(fast(Tensors{x})[0], forward({x})[0]) < 1e-5);
  CHECK(
      support::error([&] { fast(Tensors{randn({2, 3, 6, 16}).slice(3, 0, 16, 2)}); }) ==
      "compile: the forward looks at its input's memory by strides, and that has gaps or overlaps");
  CHECK(distance(fast(Tensors{x})[0], forward({x})[0]) < 1e-5);
}

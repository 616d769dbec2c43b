// Depthwise and 1x1 convolutions of images as they lie: the loops by themselves, and the plans that take them.
#include "compile/engines/planes.h"

#include "compile/compile_support.h"
#include "compile/engines/products.h"
#include "compile/engines/transpose.h"
#include "compile/onednn/engine.h"

#include <convkit/separable.h>

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include <ATen/Parallel.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace convkit::detail;
using convkit::Compiled;
using convkit::CompileOptions;
using support::check_alive;
using support::distance;
using support::plan_of;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;
using Tensor = torch::Tensor;

int64_t any_of(int64_t least, int64_t most) {
  return torch::randint(least, most + 1, {1}).item<int64_t>();
}

/// Whether the plan of an image [N, C, H, W] to one has but one step, and that one by our loops.
bool is_planar(const std::shared_ptr<torch::nn::Module>& net, const Tensor& x,
               CompileOptions options = {}) {
  options.timing = false;
  if (!options.memory_format) options.memory_format = torch::MemoryFormat::Contiguous;
  net->eval();
  const Compiled fast = convkit::compile(net, x, options);
  const auto plan = plan_of(fast);
  const Tensor y = fast(x);
  const Tensor expected = convkit::forward_child(*net, x);
  CHECK(distance(y, expected) <= 1e-5);
  check_alive(y);
  CHECK(y.sizes() == expected.sizes());
  return plan.steps.size() == 1 && plan.steps[0].how == "planes";
}

Conv2d depthwise(int64_t channels, int64_t kernel = 3, int64_t stride = 1) {
  return Conv2d(Conv2dOptions(channels, channels, kernel)
                    .stride(stride)
                    .padding(kernel / 2)
                    .groups(channels));
}

Conv2d pointwise(int64_t in, int64_t out) {
  return Conv2d(Conv2dOptions(in, out, 1));
}

}  // namespace

TEST_CASE("rows of a depthwise convolution are those of LibTorch's", "[compile][planes]") {
  torch::manual_seed(4);
  for (int trial = 0; trial < 200; ++trial) {
    planes::Depthwise what;
    for (std::size_t axis = 0; axis < 2; ++axis) {
      what.kernel[axis] = any_of(1, 5);
      what.stride[axis] = any_of(1, 3);
      what.dilation[axis] = any_of(1, 3);
      what.before[axis] = any_of(0, 4);
    }
    const Tensor x = torch::randn({1, 1, any_of(1, 40), any_of(1, 90)}) + 2;
    const Tensor weight = torch::randn({1, 1, what.kernel[0], what.kernel[1]});
    const Tensor bias = torch::randn({1});
    if (x.size(2) + 2 * what.before[0] <= (what.kernel[0] - 1) * what.dilation[0] ||
        x.size(3) + 2 * what.before[1] <= (what.kernel[1] - 1) * what.dilation[1]) {
      continue;
    }
    const Tensor expected =
        at::conv2d(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble),
                   Sizes{what.stride[0], what.stride[1]}, Sizes{what.before[0], what.before[1]},
                   Sizes{what.dilation[0], what.dilation[1]});
    const int64_t height = expected.size(2);
    const int64_t width = expected.size(3);
    const int64_t first = any_of(0, height - 1);
    const int64_t count = any_of(1, height - first);
    CAPTURE(trial, x.sizes(), expected.sizes(), first, count);
    const planes::DepthwiseRows rows(what, any_of(count, count + 3), width);
    std::vector<float> room(static_cast<std::size_t>(rows.room()));
    Tensor found = torch::full({count * width + planes::DepthwiseRows::kBeyond},
                               std::numeric_limits<float>::quiet_NaN());
    const planes::Plane plane{x.const_data_ptr<float>(), x.size(2), x.size(3)};
    const Tensor before = x * -3;
    const planes::Plane other{before.const_data_ptr<float>(), x.size(2), x.size(3)};
    // Another channel has used the room before.
    rows.run(other, weight.const_data_ptr<float>(), 0, first, count, room.data(),
             found.mutable_data_ptr<float>(), products::panel_width());
    rows.run(plane, weight.const_data_ptr<float>(), bias.item<float>(), first, count, room.data(),
             found.mutable_data_ptr<float>(), products::panel_width());
    const Tensor part = expected.narrow(2, first, count).flatten();
    // 25 products in another order than float64's.
    CHECK((found.narrow(0, 0, count * width) - part).abs().max().item<double>() <= 2e-5);
  }
}

TEST_CASE("products of panels are those of matrices", "[compile][planes]") {
  torch::manual_seed(5);
  const int64_t in = GENERATE(1, 7, 64, 300);
  const int64_t out = GENERATE(1, 6, 14, 37, 130);
  const int64_t pixels = GENERATE(1, 5, 16, 33, 100);
  CAPTURE(in, out, pixels);
  const Tensor x = torch::randn({in, pixels + 64});
  const Tensor weight = torch::randn({out, in});
  const Tensor bias = torch::randn({out});
  std::vector<float> panels(
      static_cast<std::size_t>(planes::panels_of(pixels) * products::panel_width() * in));
  for (int64_t c = 0; c < in; ++c) {
    planes::to_panels(x[c].const_data_ptr<float>(), pixels, c, in, panels.data());
  }
  const auto packed = planes::packed_weight(weight.const_data_ptr<float>(), out, in);
  const Tensor found = torch::full({out, pixels + 3}, 7.0F);
  planes::pointwise({packed.data(),
                     bias.const_data_ptr<float>(),
                     in,
                     out,
                     {lanes::LaneActivation::Kind::kLeakyRelu, 0.5F}},
                    panels.data(), pixels, found.mutable_data_ptr<float>(), pixels + 3);
  const Tensor sums = weight.to(torch::kDouble).matmul(x.narrow(1, 0, pixels).to(torch::kDouble));
  CHECK(distance(found.narrow(1, 0, pixels), at::leaky_relu(sums + bias.unsqueeze(1), 0.5)) <=
        2e-6);
  CHECK(found.narrow(1, pixels, 3).eq(7).all().item<bool>());  // what lies beside it
}

TEST_CASE("depthwise and 1x1 convolutions of images as they lie take planes", "[compile][planes]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(6);
  const Tensor x = torch::randn({2, 24, 30, 37});
  using torch::nn::Sequential;
  const auto takes = [&](const Sequential& net, CompileOptions options = {}) {
    return is_planar(net.ptr(), x, options);
  };
  const auto both = [&] { return Sequential(depthwise(24), pointwise(24, 40)); };
  CHECK(takes(both()));
  CHECK(takes(Sequential(depthwise(24))));
  CHECK(takes(Sequential(depthwise(24, 5))));
  CHECK(takes(Sequential(pointwise(24, 40))));
  CHECK(is_planar(convkit::SeparableConv2d(24, 40).ptr(), x));
  const auto norm = [](int64_t channels) { return torch::nn::BatchNorm2d(channels); };
  Sequential normed(depthwise(24), norm(24), torch::nn::ReLU6(), pointwise(24, 40), norm(40),
                    torch::nn::SiLU());
  support::settle(*normed);
  CHECK(takes(normed));

  // Images in channels_last are computed as such, and so is what several steps read.
  CHECK(!takes(both(), {.memory_format = torch::MemoryFormat::ChannelsLast}));
  CHECK(!is_planar(both().ptr(), x.contiguous(torch::MemoryFormat::ChannelsLast)));
  CHECK(!takes(Sequential(depthwise(24), pointwise(24, 40), Conv2d(Conv2dOptions(40, 8, 3)))));
  // What takes longer this way, and activations that our loops lack.
  CHECK(!takes(Sequential(depthwise(24, 3, 2), pointwise(24, 40))));
  CHECK(!takes(Sequential(pointwise(24, 4))));
  CHECK(!is_planar(both().ptr(), torch::randn({2, 24, 9, 9})));
  CHECK(!takes(Sequential(pointwise(24, 40), torch::nn::ELU())));
  // A choice of another way wins.
  const std::string key =
      "conv2d 2x24x30x37 to 2x40x30x37 kernel 1x1 stride 1x1 padding 0x0 0x0 dilation 1x1 groups 1";
  CHECK(!takes(both(), {.choices = {{key, "channels_last"}}}));
}

TEST_CASE("planes give the same bits on any number of threads", "[compile][planes]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(7);
  const int before = at::get_num_threads();
  convkit::SeparableConv2d net(70, 33);
  net->eval();
  const Tensor x = torch::randn({3, 70, 61, 50});
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const Compiled fast = convkit::compile(
        net, x, {.memory_format = torch::MemoryFormat::Contiguous, .timing = false});
    const bool planar = plan_of(fast).steps[0].how == "planes";
    CHECK(planar == transposes_on(threads));
    if (planar) results.push_back(fast(x));
  }
  at::set_num_threads(before);
  REQUIRE(!results.empty());
  for (const Tensor& result : results) CHECK(torch::equal(result, results[0]));
  CHECK(distance(results[0], net(x)) <= 1e-5);
}

TEST_CASE("rows that fit into panels go there at once", "[compile][planes]") {
  if (!has_onednn()) SKIP("built without oneDNN");
  const torch::NoGradGuard no_grad;
  torch::manual_seed(8);
  for (const int64_t width : {15, 16, 24, 32, 48, 50, 64}) {
    for (const int64_t kernel : {3, 5}) {
      CAPTURE(width, kernel);
      CHECK(planes::fits_panels(width) == (width % (products::panel_width() / 2) == 0));
      torch::nn::Sequential net(depthwise(20, kernel), torch::nn::LeakyReLU(), pointwise(20, 30));
      CHECK(is_planar(net.ptr(), torch::randn({2, 20, 17, width})));
    }
  }
}

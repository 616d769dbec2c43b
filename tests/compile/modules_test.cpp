// Every block, a network of each family, and modules as users write them: plain against compiled.
#include <convkit/convkit.h>

#include "compile/compile_support.h"

#include <torch/nn/modules.h>

#include <ATen/Parallel.h>

namespace {

using namespace convkit;
using support::check_compiled;
using torch::randn;

/// A module of one forward, written in place.
class LambdaImpl : public Block<LambdaImpl> {
 public:
  using Body = std::function<torch::Tensor(LambdaImpl&, const torch::Tensor&)>;
  explicit LambdaImpl(Body body) : body_(std::move(body)) { LambdaImpl::reset(); }

  void reset() override {
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 3).padding(1)));
    other = register_module("other", torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 1)));
    bn = register_module("bn", torch::nn::BatchNorm2d(8));
    norm = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({8})));
    linear = register_module("linear", torch::nn::Linear(8, 8));
    scale = register_buffer("scale", torch::linspace(0.5, 1.5, 8).view({8, 1, 1}));
  }
  torch::Tensor forward(const torch::Tensor& x) override { return body_(*this, x); }

  torch::nn::Conv2d conv{nullptr};
  torch::nn::Conv2d other{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  torch::nn::LayerNorm norm{nullptr};
  torch::nn::Linear linear{nullptr};
  torch::Tensor scale;

 private:
  Body body_;
};
CONVKIT_MODULE(Lambda);

using Net = LambdaImpl;
using Tensor = torch::Tensor;

/// Modules as users write them; the input has 8 channels.
std::vector<std::pair<std::string, Net::Body>> user_modules() {
  return {
      {"a layer called twice", [](Net& m, const Tensor& x) { return m.conv(m.bn(m.conv(x))); }},
      {"a residual", [](Net& m, const Tensor& x) { return torch::relu(x + m.bn(m.conv(x))); }},
      {"two convolutions added",
       [](Net& m, const Tensor& x) { return torch::relu(m.bn(m.conv(x)) + m.other(x)); }},
      {"the same tensor added to itself",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         return y + y;
       }},
      {"a result in place that another one reads",
       [](Net& m, const Tensor& x) {
         Tensor y = m.conv(x);
         const Tensor z = m.other(y);
         y.relu_();
         return y * z;
       }},
      {"a convolution changed before its batch norm",
       [](Net& m, const Tensor& x) {
         Tensor y = m.conv(x);
         const Tensor z = y;
         y.add_(1);
         return m.bn(z);
       }},
      {"an input changed between a convolution and its batch norm",
       [](Net& m, const Tensor& x) {
         Tensor y = m.other(x);
         const Tensor z = m.conv(y);
         y.mul_(2);
         return m.bn(z) + y;
       }},
      {"a slice written",
       [](Net& m, const Tensor& x) {
         Tensor y = m.conv(x);
         y.narrow(1, 2, 3).zero_();
         y.select(2, 0).fill_(1);
         return m.other(y);
       }},
      {"a view written, the base read",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.other(m.conv(x));
         y.view({y.size(0), 8, -1}).mul_(3);
         return m.conv(y);
       }},
      {"views of views",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x).chunk(2, 1)[1].transpose(2, 3);
         return torch::cat({y.slice(2, 1), y.slice(2, 0, -1)}, 1).contiguous();
       }},
      {"shuffled channels",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         return m.other(
             y.view({y.size(0), 2, 4, y.size(2), y.size(3)}).transpose(1, 2).reshape(y.sizes()));
       }},
      {"three tensors concatenated",
       [](Net& m, const Tensor& x) {
         return torch::cat({x, m.conv(x), torch::relu(m.other(x))}, 1);
       }},
      {"concatenated rows",
       [](Net& m, const Tensor& x) { return m.other(torch::cat({m.conv(x), x}, 2)); }},
      {"two tensors concatenated before a convolution",
       [](Net& m, const Tensor& x) {
         return m.conv(torch::cat({m.other(x).narrow(1, 0, 3), x.narrow(1, 0, 5)}, 1));
       }},
      {"a gate",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         return y * torch::sigmoid(m.other(torch::adaptive_avg_pool2d(y, {1, 1})));
       }},
      {"a constant for each channel",
       [](Net& m, const Tensor& x) { return m.scale * m.conv(x) + m.scale; }},
      {"channels last, an activation between, and back",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.linear(m.norm(m.conv(x).permute({0, 2, 3, 1})));
         return m.linear(torch::gelu(y)).permute({0, 3, 1, 2}) + x;
       }},
      {"channels last as the result",
       [](Net& m, const Tensor& x) {
         return torch::silu(m.norm(m.conv(x).permute({0, 2, 3, 1})));
       }},
      {"numbers of every element",
       [](Net& m, const Tensor& x) { return (1 - m.conv(x)) * 2 + 3 / (x.abs() + 1); }},
      {"attention",
       [](Net& m, const Tensor& x) {
         const Tensor tokens = m.conv(x).flatten(2).transpose(1, 2);
         const Tensor weights =
             torch::softmax(torch::matmul(tokens, tokens.transpose(1, 2)) * 0.1, -1);
         return m.linear(torch::matmul(weights, tokens));
       }},
      {"a size of its own",
       [](Net& m, const Tensor& x) {
         return torch::upsample_bilinear2d(m.conv(x), {x.size(2) * 3 / 2, x.size(3) + 5}, true);
       }},
      {"constants made in the forward",
       [](Net& m, const Tensor& x) {
         const Tensor ramp = torch::arange(x.size(3), x.options()) / x.size(3);
         return m.conv(x + ramp) * torch::full({1}, 2.5);
       }},
      {"a vector", [](Net& m, const Tensor& x) { return m.linear(m.conv(x).mean({2, 3})); }},
      {"odd pools",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         return torch::cat({torch::max_pool2d(y, {3, 2}, {2, 2}, {1, 1}, {1, 1}, true).flatten(1),
                            torch::avg_pool2d(y, {3, 3}, {2, 2}, {1, 1}, true).flatten(1),
                            torch::avg_pool2d(y, {3, 3}, {2, 2}, {1, 1}, false, false).flatten(1),
                            torch::adaptive_avg_pool2d(y, {3, 2}).flatten(1)},
                           1);
       }},
      {"memory read by position",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x).contiguous();
         return y.as_strided({2, 8}, {16, 2});
       }},
      {"a layer past a convolution that is used twice",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         return torch::relu(y) - m.bn(y);
       }},
  };
}

models::Network small_network(const std::string& name) {
  torch::manual_seed(3);
  return models::create(name);
}

}  // namespace

TEST_CASE("blocks compute the same when compiled", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(1);
  const Tensor x = randn({2, 8, 13, 10});
  check_compiled(ConvBlock(8, 16), x);
  check_compiled(ConvBlock(ConvBlockOptions(8, 12).kernel_size(5).stride(2).padding(1)), x);
  check_compiled(SeparableConv2d(8, 16), x);
  check_compiled(SeparableConv2d(SeparableConv2dOptions(8, 16).stride(2).depthwise_bias(false)), x);
  for (const auto mode :
       {UpsampleMode::kTransposed, UpsampleMode::kNearest, UpsampleMode::kNearestExact,
        UpsampleMode::kBilinear, UpsampleMode::kBicubic, UpsampleMode::kPixelShuffle}) {
    for (const int64_t scale : {2, 3}) {
      INFO("mode " << static_cast<int>(mode) << ", scale " << scale);
      check_compiled(Upsampler(UpsamplerOptions(8, 6).mode(mode).scale_factor(scale)), x);
    }
  }
  check_compiled(SqueezeExcitation(8, 4), x);
  check_compiled(EcaModule(EcaModuleOptions().channels(8)), x);
  check_compiled(CbamModule(8), x);
  check_compiled(SCSEModule(8, 2), x);
  check_compiled(ASPP(8, std::vector<int64_t>{2, 4}, 16), x);
  check_compiled(PSPModule(8, std::vector<int64_t>{1, 2, 3}), randn({2, 8, 12, 12}));
  check_compiled(SegmentationHead(8, 3), x);
  check_compiled(StdConv2d(8, 16, 3), x);
  check_compiled(ScaledStdConv2d(8, 16, 3), x);
  check_compiled(Conv2dSame(Conv2dSameOptions(8, 16, 3).stride(2)), x);
  check_compiled(MaxPool2dSame(MaxPool2dSameOptions(3).stride(2)), x);
  check_compiled(AvgPool2dSame(AvgPool2dSameOptions(3).stride(2)), x);
  check_compiled(BlurPool2d(BlurPool2dOptions().channels(8)), x);
  check_compiled(LayerNorm2d(8), x);
  check_compiled(FrozenBatchNorm2d(8), x);
  check_compiled(GlobalResponseNorm(8, 1e-6, false), x);
  check_compiled(Hardswish(), x);
  check_compiled(Hardsigmoid(), x);
  check_compiled(Permute(std::vector<int64_t>{0, 2, 3, 1}), x);
  check_compiled(Sequential{ConvBlock(8, 8), torch::nn::GroupNorm(2, 8), torch::nn::PReLU(),
                            torch::nn::InstanceNorm2d(8), torch::nn::Softplus()},
                 x);
}

TEST_CASE("every norm and activation computes the same when compiled", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(2);
  const Tensor x = randn({2, 8, 11, 14});
  for (int kind = 0; kind <= Activation::kTanh; ++kind) {
    INFO("activation " << kind);
    check_compiled(Conv2dNormActivation(Conv2dNormActivationOptions(8, 12).activation(
                       {static_cast<Activation::Kind>(kind)})),
                   x);
  }
  for (const auto kind : {Norm::kNone, Norm::kBatchNorm2d, Norm::kGroupNorm, Norm::kInstanceNorm2d,
                          Norm::kLayerNorm2d, Norm::kFrozenBatchNorm2d}) {
    INFO("norm " << static_cast<int>(kind));
    check_compiled(
        Conv2dNormActivation(Conv2dNormActivationOptions(8, 12).norm({.kind = kind, .groups = 3})),
        x);
  }
}

TEST_CASE("modules as users write them compute the same when compiled", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(4);
  for (const auto& [name, body] : user_modules()) {
    INFO(name);
    Lambda net(body);
    support::settle(*net);
    const support::Forward forward = [&](const Compiled::Tensors& inputs) {
      return Compiled::Tensors{net(inputs[0])};
    };
    for (const int64_t batch : {1, 3}) {
      check_compiled(net.ptr(), forward, {randn({batch, 8, 9, 12})}, 2e-5);
    }
    check_compiled(net.ptr(), forward,
                   {randn({2, 8, 12, 7}).contiguous(torch::MemoryFormat::ChannelsLast)}, 2e-5);
  }
}

TEST_CASE("modules of several inputs and results compute the same when compiled", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(5);
  UnetDecoderBlock decoder(UnetDecoderBlockOptions(16, 8, 12));
  support::settle(*decoder);
  check_compiled(
      decoder.ptr(),
      [&](const Compiled::Tensors& in) { return Compiled::Tensors{decoder(in[0], 10, 14, in[1])}; },
      {randn({2, 16, 5, 7}), randn({2, 8, 10, 14})});

  FeaturePyramidNetwork pyramid(std::vector<int64_t>{8, 16}, 12);
  support::settle(*pyramid);
  check_compiled(pyramid.ptr(),
                 [&](const Compiled::Tensors& in) {
                   FeaturePyramidNetworkImpl::Maps maps;
                   maps.insert("fine", in[0]);
                   maps.insert("coarse", in[1]);
                   return pyramid(maps).values();
                 },
                 {randn({1, 8, 12, 10}), randn({1, 16, 6, 5})});

  Lambda net([](Net& m, const Tensor& x) { return m.conv(x); });
  support::settle(*net);
  check_compiled(net.ptr(),
                 [&](const Compiled::Tensors& in) {
                   const Tensor y = net(in[0]);
                   return Compiled::Tensors{
                       y, in[1].to(torch::kLong), y, in[0], net->scale, y.argmax(1)};
                 },
                 {randn({2, 8, 6, 5}), torch::arange(4)});
}

TEST_CASE("tensors that are no images compute the same when compiled", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(6);
  using namespace torch::nn;
  check_compiled(
      convkit::Sequential{Conv1d(Conv1dOptions(4, 8, 3).padding(1)), BatchNorm1d(8), ReLU()},
      randn({2, 4, 11}));
  check_compiled(convkit::Sequential{Conv3d(Conv3dOptions(2, 4, 3)), BatchNorm3d(4), ReLU()},
                 randn({1, 2, 5, 6, 4}));
  check_compiled(convkit::Sequential{Linear(6, 9), torch::nn::SiLU(), Linear(9, 4)},
                 randn({3, 5, 6}));
  check_compiled(Conv2d(Conv2dOptions(3, 4, 3)), randn({3, 9, 8}));  // without a batch

  Embedding embedding(10, 6);
  embedding->eval();
  check_compiled(embedding.ptr(),
                 [&](const Compiled::Tensors& in) { return Compiled::Tensors{embedding(in[0])}; },
                 {torch::tensor({{1, 9, 3}, {0, 2, 2}}, torch::kLong)});

  MultiheadAttention attention(MultiheadAttentionOptions(8, 2));
  support::settle(*attention);
  check_compiled(attention.ptr(),
                 [&](const Compiled::Tensors& in) {
                   return Compiled::Tensors{std::get<0>(attention(in[0], in[0], in[0]))};
                 },
                 {randn({5, 2, 8})});
}

TEST_CASE("a network of each family computes the same when compiled", "[compile]") {
  at::set_num_threads(1);
  for (const std::string name : {"resnet18", "mobilenet_v2", "mobilenet_v3_small",
                                 "efficientnet_b0", "convnext_tiny", "unet_resnet18"}) {
    INFO(name);
    models::Network network = small_network(name);
    support::settle(*network);
    const support::Forward forward = [&](const Compiled::Tensors& inputs) {
      return Compiled::Tensors{network(inputs[0])};
    };
    const Tensor x = name.starts_with("unet") ? randn({2, 3, 64, 96}) : randn({2, 3, 67, 81});
    // Four times the distance that float32 itself has from float64: deep networks of random weights.
    models::Network exact(network->clone());
    exact->to(torch::kDouble);
    const torch::NoGradGuard no_grad;
    const double rounding = support::distance(network(x), exact(x.to(torch::kDouble)));
    check_compiled(network.ptr(), forward, {x}, std::max(1e-5, 4 * rounding));
    check_compiled(network.ptr(), forward, {x}, 1e-1, {.dtype = torch::kBFloat16});
    const Tensor one = x.narrow(0, 0, 1).contiguous(torch::MemoryFormat::ChannelsLast);
    check_compiled(network.ptr(), forward, {one}, std::max(1e-5, 4 * rounding));
  }
}

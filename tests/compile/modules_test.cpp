// Every block, a network of each family, and modules as users write them: plain against compiled.
#include <convkit/convkit.h>

#include "compile/compile_support.h"
#include "compile/onednn/engine.h"

#include <torch/nn/modules.h>

#include <ATen/Parallel.h>

#include <cmath>

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
      {"a deformable convolution",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         const Tensor offset = m.other(y).repeat({1, 3, 1, 1}).narrow(1, 0, 18);
         return torch::relu(deform_conv2d(y, offset, m.conv->weight, m.conv->bias, 1, 1));
       }},
      {"boxes of a map",
       [](Net& m, const Tensor& x) {
         static const Tensor boxes =
             torch::tensor({{0.0F, 1.5F, 2.0F, 6.0F, 7.0F}, {0.0F, 0.0F, 0.0F, 4.0F, 5.5F}});
         return m.other(roi_align(m.conv(x), boxes, {4, 5}, 1, 2, true));
       }},
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
      {"zeros around images",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(torch::constant_pad_nd(x, {2, 1, 0, 3}));
         return m.other(torch::constant_pad_nd(torch::relu(y), {0, 1}));
       }},
      {"padding before pools",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         const Tensor low = torch::constant_pad_nd(y, {0, 1, 1, 0}, -INFINITY);
         const Tensor zero = torch::constant_pad_nd(torch::relu(y), {1, 0, 0, 1});
         const Tensor mean = torch::constant_pad_nd(y, {1, 2, 0, 1});
         return torch::cat(
             {torch::max_pool2d(low, 3, 2).flatten(1), torch::max_pool2d(zero, 2, 2).flatten(1),
              torch::avg_pool2d(mean, 3, 2).flatten(1),
              torch::avg_pool2d(mean, 3, 2, 0, false, true, 5).flatten(1)},
             1);
       }},
      {"average pools that round up",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         return torch::cat({torch::avg_pool2d(y, 3, 2, 0, true).flatten(1),
                            torch::avg_pool2d(y, 2, 3, 1, true, false).flatten(1),
                            torch::avg_pool2d(y, 3, 2, 1, true, true).flatten(1),
                            torch::avg_pool2d(y, 2, 2, 1, true, true, 3).flatten(1)},
                           1);
       }},
      {"a norm after an activation",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.bn(torch::relu(m.conv(x)));
         return m.bn(torch::silu(m.other(torch::max_pool2d(y, {2, 1}, {2, 1})))) * m.scale;
       }},
      {"a norm of a sum, and a norm first",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.bn(m.conv(x) + x);
         return m.conv(torch::relu(m.bn(torch::relu(y)))) + torch::sigmoid(m.bn(y) * 2);
       }},
      {"PReLU of one number and of each channel",
       [](Net& m, const Tensor& x) {
         const Tensor slopes = m.scale.flatten() - 0.8;
         const Tensor y = torch::prelu(m.conv(torch::prelu(x, slopes)), slopes);
         const Tensor z = torch::prelu(m.other(y) + y, slopes.slice(0, 0, 1));
         return torch::prelu(m.linear(torch::prelu(z.mean({2, 3}), slopes)), slopes);
       }},
      {"softmax along every dimension",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         const Tensor logs = torch::log_softmax(y, 1).flatten(2);
         return torch::softmax(y, 1) + torch::softmax(y, 2) + torch::softmax(y, 3) +
                torch::softmax(logs, 1).view_as(y) + torch::softmax(logs, -1).view_as(y);
       }},
      {"layer norms of the last dimensions",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         const Tensor rows = torch::layer_norm(y, {y.size(3)});
         return rows + torch::layer_norm(y.flatten(2), {y.size(2) * y.size(3)}).view_as(y) +
                torch::layer_norm(y, {8, y.size(2), y.size(3)});
       }},
      {"scalars",
       [](Net& m, const Tensor& x) {
         const Tensor y = (1 - torch::tanh(m.conv(x)) * 0.5) / 3 + 0.1;
         const Tensor z = -y.square() - y.pow(2) + torch::sqrt(y) + y.reciprocal() - y.abs();
         return torch::softplus(z, 2, 20) / (y + 1) - (x - y);
       }},
      {"numbers along other axes",
       [](Net& m, const Tensor& x) {
         const Tensor y = m.conv(x);
         const Tensor column = torch::linspace(0.5, 1, y.size(2)).view({-1, 1});
         const Tensor row = torch::linspace(-1, 1, y.size(3));
         const Tensor tokens = (y * column + row).flatten(2).transpose(1, 2);
         return tokens * m.scale.flatten() + m.scale.flatten();
       }},
      {"images that are turned for a linear layer",
       [](Net& m, const Tensor& x) {
         const Tensor y = torch::relu(m.conv(x));
         const Tensor turned = y.permute({0, 2, 1, 3}).reshape({-1, y.size(1), y.size(3)});
         const Tensor flat = y.permute({0, 3, 2, 1}).contiguous().view({y.size(0), -1, 8});
         return turned.sum(2).matmul(m.linear->weight).sum() + torch::sigmoid(m.linear(flat));
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

/// CREPE's layers, smaller: zeros around a column, and a norm after each ReLU.
class PitchNetImpl : public Block<PitchNetImpl> {
 public:
  PitchNetImpl() { PitchNetImpl::reset(); }
  void reset() override {
    using namespace torch::nn;
    conv1 = register_module("conv1", Conv2d(Conv2dOptions(1, 16, {64, 1}).stride({4, 1})));
    bn1 = register_module("bn1", BatchNorm2d(16));
    conv2 = register_module("conv2", Conv2d(Conv2dOptions(16, 8, {16, 1})));
    bn2 = register_module("bn2", BatchNorm2d(8));
    classifier = register_module("classifier", Linear(8 * 16, 30));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    using namespace torch::nn::functional;
    torch::Tensor y = x.unsqueeze(1).unsqueeze(-1);
    y = pad(y, PadFuncOptions({0, 0, 30, 30}));
    y = torch::max_pool2d(bn1(torch::relu(conv1(y))), {2, 1}, {2, 1});
    y = pad(y, PadFuncOptions({0, 0, 7, 8}));
    y = torch::max_pool2d(bn2(torch::relu(conv2(y))), {2, 1}, {2, 1});
    y = y.permute({0, 2, 1, 3}).reshape({-1, 8 * 16});
    return torch::sigmoid(classifier(y));
  }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
  torch::nn::Linear classifier{nullptr};
};
CONVKIT_MODULE(PitchNet);

/// MTCNN's layers: PReLU, pools that round up, turned images, softmax.
class FaceNetImpl : public Block<FaceNetImpl> {
 public:
  FaceNetImpl() { FaceNetImpl::reset(); }
  void reset() override {
    using namespace torch::nn;
    conv1 = register_module("conv1", Conv2d(3, 12, 3));
    prelu1 = register_module("prelu1", PReLU(PReLUOptions().num_parameters(12)));
    pool1 = register_module("pool1", MaxPool2d(MaxPool2dOptions(3).stride(2).ceil_mode(true)));
    conv2 = register_module("conv2", Conv2d(12, 16, 2));
    prelu2 = register_module("prelu2", PReLU(PReLUOptions().num_parameters(16)));
    dense3 = register_module("dense3", Linear(16 * 10 * 10, 20));
    prelu3 = register_module("prelu3", PReLU(PReLUOptions().num_parameters(20)));
    dense4 = register_module("dense4", Linear(20, 2));
    map = register_module("map", Conv2d(16, 2, 1));
  }
  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor y = prelu2(conv2(pool1(prelu1(conv1(x)))));
    const torch::Tensor flat = y.permute({0, 3, 2, 1}).contiguous().view({y.size(0), -1});
    const torch::Tensor face = torch::softmax(dense4(prelu3(dense3(flat))), 1);
    return torch::cat({face, torch::softmax(map(y), 1).flatten(1)}, 1);
  }

  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr}, map{nullptr};
  torch::nn::PReLU prelu1{nullptr}, prelu2{nullptr}, prelu3{nullptr};
  torch::nn::MaxPool2d pool1{nullptr};
  torch::nn::Linear dense3{nullptr}, dense4{nullptr};
};
CONVKIT_MODULE(FaceNet);

/// The operators of a plan that LibTorch runs, without a reason.
std::vector<std::string> left_to_torch(const Compiled& fast) {
  std::vector<std::string> names;
  for (const StepExplanation& step : support::plan_of(fast).steps) {
    if (step.by == "LibTorch" && step.how.empty()) names.push_back(step.what);
  }
  return names;
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
  check_compiled(CoordAttn(8), x);
  check_compiled(GlobalContext(GlobalContextOptions(8).rd_ratio(0.5).fuse_add(true)), x);
  check_compiled(SelectiveKernel(8), x);
  check_compiled(SplitAttn(SplitAttnOptions(8).norm_layer({})), x);
  check_compiled(BatchNormAct2d(8), x);
  check_compiled(LayerScale2d(8, 0.5), x);
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

TEST_CASE("signals are computed as images one row high", "[compile]") {
  torch::manual_seed(3);
  using torch::nn::Conv1dOptions;
  torch::nn::Sequential net(
      torch::nn::Conv1d(Conv1dOptions(3, 8, 5).stride(2).padding(1)), torch::nn::BatchNorm1d(8),
      torch::nn::ReLU(), torch::nn::Conv1d(Conv1dOptions(8, 8, 3).dilation(2).groups(4)),
      torch::nn::Conv1d(Conv1dOptions(8, 6, 4).padding(torch::kSame)), torch::nn::Sigmoid(),
      torch::nn::ConvTranspose1d(
          torch::nn::ConvTranspose1dOptions(6, 4, 4).stride(2).padding(1).output_padding(1)));
  support::settle(*net);
  auto module = net.ptr();
  const support::Forward forward = [module](const support::Compiled::Tensors& inputs) {
    return support::Compiled::Tensors{module->forward(inputs[0])};
  };
  check_compiled(module, forward, {randn({2, 3, 40})});
  const Compiled fast = compile(module, forward, {randn({2, 3, 40})}, {.timing = false});
  const PlanExplanation plan = support::plan_of(fast);
  INFO(explain(fast));
  const Tensor signal = randn({2, 3, 40});
  CHECK(fast(signal).strides() == forward({signal})[0].strides());  // it is no image
  CHECK(plan.notes.at("saw a signal as an image") == 4);
  CHECK(plan.notes.at("folded batch_norm") == 1);
  CHECK(plan.notes.at("fused relu") == 1);
  CHECK(plan.notes.at("fused sigmoid") == 1);
  // The results of a convolution that is given by its general name are the same.
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  conv->eval();
  const support::Forward general = [conv](const support::Compiled::Tensors& inputs) {
    return support::Compiled::Tensors{
        at::convolution(inputs[0], conv->weight, conv->bias, {2, 1}, {1, 0}, {1, 1}, false, {0, 0},
                        1),
        at::convolution(inputs[0], conv->weight.transpose(0, 1).contiguous(), {}, {2, 1}, {1, 0},
                        {1, 1}, true, {1, 0}, 1)};
  };
  check_compiled(conv.ptr(), general, {randn({2, 3, 8, 7})});
}

TEST_CASE("oneDNN computes convolutions of volumes", "[compile]") {
  torch::manual_seed(4);
  using torch::nn::Conv3dOptions;
  torch::nn::Sequential net(
      torch::nn::Conv3d(Conv3dOptions(3, 8, {3, 2, 5}).stride({1, 2, 1}).padding({1, 0, 2})),
      torch::nn::ReLU(),
      torch::nn::Conv3d(Conv3dOptions(8, 8, 3).groups(2).dilation(2).bias(false)),
      torch::nn::Conv3d(Conv3dOptions(8, 4, 2).padding(torch::kSame)));
  net->eval();
  auto module = net.ptr();
  const support::Forward forward = [module](const support::Compiled::Tensors& inputs) {
    return support::Compiled::Tensors{module->forward(inputs[0])};
  };
  check_compiled(module, forward, {randn({2, 3, 8, 14, 9})});
  const PlanExplanation plan =
      support::plan_of(compile(module, forward, {randn({2, 3, 8, 14, 9})}, {.timing = false}));
  if (!plan.engine.starts_with("oneDNN")) return;
  const auto by_onednn = std::count_if(plan.steps.begin(), plan.steps.end(), [](const auto& step) {
    return step.what == "conv3d" && step.by == "oneDNN" && step.macs > 0;
  });
  CHECK(by_onednn == 2);  // not the padding that is larger on one side
}

TEST_CASE("oneDNN computes the layers of CREPE and MTCNN", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(7);
  const Tensor signal = randn({3, 512});
  check_compiled(PitchNet(), signal);
  const Tensor image = randn({2, 3, 24, 24});
  check_compiled(FaceNet(), image);
  if (!convkit::detail::has_onednn()) return;
  PitchNet pitch;
  support::settle(*pitch);
  CHECK(left_to_torch(compile(pitch, signal, {.timing = false})) == std::vector<std::string>{});
  FaceNet face;
  support::settle(*face);
  // The results of the softmax over images are put together as LibTorch does it: they are no images.
  CHECK(left_to_torch(compile(face, image, {.timing = false})) == std::vector<std::string>{"cat"});
}

TEST_CASE("NaN passes as the page on compile() says", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(8);
  const std::vector<std::pair<std::string, std::function<Tensor(const Tensor&)>>> activations = {
      {"none", [](const Tensor& x) { return x; }},
      {"silu", [](const Tensor& x) { return torch::silu(x); }},
      {"gelu", [](const Tensor& x) { return torch::gelu(x); }},
      {"mish", [](const Tensor& x) { return torch::mish(x); }},
      {"elu", [](const Tensor& x) { return torch::elu(x); }},
      {"tanh", [](const Tensor& x) { return torch::tanh(x); }},
      {"sigmoid", [](const Tensor& x) { return torch::sigmoid(x); }},
      {"hardswish", [](const Tensor& x) { return torch::hardswish(x); }},
      {"leaky_relu", [](const Tensor& x) { return torch::leaky_relu(x, 0.1); }},
      {"prelu", [](const Tensor& x) { return torch::prelu(x, torch::full({8}, 0.1)); }},
      {"avg_pool2d", [](const Tensor& x) { return torch::avg_pool2d(x, 2); }},
      // Those after this one lose it in oneDNN.
      {"relu", [](const Tensor& x) { return torch::relu(x); }},
      {"relu6", [](const Tensor& x) { return torch::relu6(x); }},
      {"hardtanh", [](const Tensor& x) { return torch::hardtanh(x); }},
      {"clamp", [](const Tensor& x) { return torch::clamp(x, -1, 1); }},
      {"hardsigmoid", [](const Tensor& x) { return torch::hardsigmoid(x); }},
      {"max_pool2d", [](const Tensor& x) { return torch::max_pool2d(x, 2); }},
  };
  bool kept_by_onednn = true;
  for (const auto& [name, activation] : activations) {
    kept_by_onednn &= name != "relu";
    INFO(name);
    const auto& function = activation;
    Lambda net([&](Net& m, const Tensor& x) {
      const Tensor y = function(m.conv(x));
      return m.other(function(m.other(y) + y));
    });
    support::settle(*net);
    Tensor x = randn({2, 8, 16, 16});
    for (const bool onednn : {true, false}) {
      const Compiled fast = compile(net, x, {.onednn = onednn, .timing = false});
      Tensor sick = x.clone();
      sick.index_put_({0, 3, 5, 5}, NAN);
      const torch::NoGradGuard no_grad;
      const Tensor expected = net(sick).isnan();
      CHECK(expected.any().item<bool>());
      CHECK_FALSE(expected.all().item<bool>());
      const bool same = torch::equal(fast(sick).isnan(), expected);
      CHECK(same == (kept_by_onednn || !onednn || !convkit::detail::has_onednn()));
    }
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

  torch::nn::MultiheadAttention attention(torch::nn::MultiheadAttentionOptions(8, 2));
  support::settle(*attention);
  check_compiled(attention.ptr(),
                 [&](const Compiled::Tensors& in) {
                   return Compiled::Tensors{std::get<0>(attention(in[0], in[0], in[0]))};
                 },
                 {randn({5, 2, 8})});
}

TEST_CASE("networks that make or judge images compute the same when compiled", "[compile]") {
  at::set_num_threads(1);
  torch::manual_seed(3);
  check_compiled(models::dcgan::Generator(7, 8, 3), randn({2, 7, 1, 1}));
  check_compiled(models::dcgan::Discriminator(3, 8), randn({2, 3, 64, 64}));
  const models::EdsrOptions small{.scale = 4, .n_resblocks = 2, .n_feats = 8};
  check_compiled(models::edsr::EdsrModel(small), randn({2, 3, 9, 7}));
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

#include <convkit/convkit.h>

#include "compile/compile_support.h"

#include <torch/cuda.h>

using namespace convkit;

namespace {

/// Output, gradients and buffers of one training step on `device`.
template <typename Holder>
std::vector<torch::Tensor> train_step(Holder module, torch::Tensor x, torch::Device device) {
  auto copy = std::dynamic_pointer_cast<typename Holder::ContainedType>(module->clone(device));
  x = x.detach().clone().to(device).requires_grad_();
  const torch::Tensor y = copy->forward(x);
  (y * torch::linspace(-1, 1, y.numel(), device).view_as(y)).sum().backward();
  std::vector<torch::Tensor> results{y, x.grad()};
  for (const torch::Tensor& parameter : copy->parameters()) results.push_back(parameter.grad());
  for (const torch::Tensor& buffer : copy->buffers()) results.push_back(buffer);
  return results;
}

template <typename Holder>
void check_cuda(Holder module, const torch::Tensor& x) {
  const auto cpu = train_step(module, x, torch::kCPU);
  const auto cuda = train_step(module, x, torch::kCUDA);
  REQUIRE(cpu.size() == cuda.size());
  for (std::size_t i = 0; i < cpu.size(); ++i) {
    REQUIRE(cuda[i].is_cuda());
    const float scale = cpu[i].abs().max().template item<float>();
    const float difference = (cuda[i].cpu() - cpu[i]).abs().max().template item<float>();
    INFO("result " << i << " of size " << cpu[i].sizes());
    // Sums of up to some thousand float32 terms in another order; TF32 is off.
    CHECK(difference <= 1e-4F * scale + 1e-5F);
  }
}

}  // namespace

TEST_CASE("every module computes on CUDA what it computes on the CPU", "[cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  torch::manual_seed(0);
  const torch::Tensor x = torch::randn({2, 4, 17, 14});
  check_cuda(standard_conv2d(4, 8), x);
  check_cuda(strided_conv2d(4, 8), x);
  check_cuda(dilated_conv2d(4, 8), x);
  check_cuda(depthwise_conv2d(4), x);
  check_cuda(pointwise_conv2d(4, 8), x);
  check_cuda(ConvBlock(4, 8), x);
  check_cuda(SeparableConv2d(4, 8), x);
  check_cuda(
      Conv2dNormActivation(Conv2dNormActivationOptions(4, 8).activation({Activation::kHardswish})),
      x);
  check_cuda(StochasticDepth(0, StochasticDepthMode::kRow), x);
  check_cuda(LayerNorm2d(4), x);
  check_cuda(FrozenBatchNorm2d(4), x);
  check_cuda(GlobalResponseNorm(4, 1e-6, false), x);
  check_cuda(SqueezeExcitation(4, 2), x);
  check_cuda(EcaModule(), x);
  check_cuda(Hardswish(), x);
  check_cuda(Hardsigmoid(), x);
  check_cuda(Conv2dSame(Conv2dSameOptions(4, 8, 3).stride(2)), x);
  check_cuda(MaxPool2dSame(3), x);
  check_cuda(AvgPool2dSame(3), x);
  check_cuda(BlurPool2d(), x);
  for (const auto mode :
       {UpsampleMode::kTransposed, UpsampleMode::kNearest, UpsampleMode::kNearestExact,
        UpsampleMode::kBilinear, UpsampleMode::kBicubic, UpsampleMode::kPixelShuffle}) {
    check_cuda(Upsampler(UpsamplerOptions(4, 8).mode(mode)), x);
  }
  check_cuda(Upsample(UpsampleOptions().scale_factor({1.5}).mode(torch::kBicubic)), x);
  check_cuda(WeightNorm(standard_conv2d(4, 8)), x);
  check_cuda(SpectralNorm(standard_conv2d(4, 8)), x);
  check_cuda(StdConv2d(4, 8, 3), x);
  check_cuda(ScaledStdConv2d(4, 8, 3), x);
  check_cuda(CbamModule(4), x);
  check_cuda(SCSEModule(4, 2), x);
  check_cuda(CoordAttn(4), x);
  check_cuda(GlobalContext(GlobalContextOptions(4).rd_ratio(1)), x);
  check_cuda(SelectiveKernel(4), x);
  check_cuda(SplitAttn(4), x);
  check_cuda(BatchNormAct2d(4), x);
  check_cuda(LayerScale2d(4), x);
  check_cuda(DropBlock2d(0, 3), x);
  check_cuda(Conv3dNormActivation(4, 8), torch::randn({2, 4, 3, 9, 8}));
  check_cuda(MLP(14, std::vector<int64_t>{8, 5}), x);
  check_cuda(Permute(std::vector<int64_t>{0, 2, 3, 1}), x);
  check_cuda(PSPModule(4), x);
  check_cuda(SegmentationHead(SegmentationHeadOptions(4, 2).upsampling(2)), x);
  check_cuda(Sequential{ConvBlock(4, 8), SeparableConv2d(8, 8), Upsampler(8, 3)}, x);
}

TEST_CASE("the blocks of networks compute on CUDA what they compute on the CPU", "[cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  using namespace models;
  torch::manual_seed(0);
  const torch::Tensor x = torch::randn({2, 4, 17, 14});
  const auto smaller = resnet::BlockOptions(4, 8).stride(2).downsample(true);
  check_cuda(resnet::BasicBlock(smaller), x);
  check_cuda(resnet::Bottleneck(smaller), x);
  check_cuda(mobilenetv2::InvertedResidual(4, 4, 1, 2), x);
  check_cuda(mobilenetv3::InvertedResidual(mobilenetv3::InvertedResidualConfig{
                 .input_channels = 4, .expanded_channels = 8, .out_channels = 4, .use_se = true}),
             x);
  const efficientnet::MBConvConfig config{
      .expand_ratio = 2, .input_channels = 4, .out_channels = 4};
  check_cuda(efficientnet::MBConv(config), x);
  check_cuda(efficientnet::FusedMBConv(config), x);
  check_cuda(convnext::CNBlock(4, 0.5, 0), x);
}

TEST_CASE("ASPP and the modules of several maps compute on CUDA", "[cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({2, 4, 9, 7});
  const auto check = [](const torch::Tensor& cpu, const torch::Tensor& cuda) {
    REQUIRE(cuda.is_cuda());
    CHECK((cuda.cpu() - cpu).abs().max().item<float>() <= 1e-4F * cpu.abs().max().item<float>());
  };
  ASPP aspp(4, std::vector<int64_t>{2}, 4);
  aspp->eval();  // its dropout draws other numbers there
  UnetDecoderBlock block(4, 0, 3);
  FeaturePyramidNetwork fpn(std::vector<int64_t>{4}, 3);
  const auto pyramid = [&](const torch::Tensor& map) {
    FeaturePyramidNetworkImpl::Maps maps;
    maps.insert("0", map);
    return fpn(maps)["0"];
  };
  const torch::Tensor cpu[] = {aspp(x), block(x, 18, 13), pyramid(x)};
  aspp->to(torch::kCUDA);
  block->to(torch::kCUDA);
  fpn->to(torch::kCUDA);
  check(cpu[0], aspp(x.cuda()));
  check(cpu[1], block(x.cuda(), 18, 13));
  check(cpu[2], pyramid(x.cuda()));
}

TEST_CASE("every family of networks computes on CUDA what it computes on the CPU", "[cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  const torch::NoGradGuard no_grad;
  const torch::Tensor x = torch::randn({2, 3, 97, 131});
  for (const char* name :
       {"resnet18", "resnet50", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
        "efficientnet_v2_s", "convnext_tiny", "unet_resnet18"}) {
    INFO(name);
    models::Network network = models::create(name);
    for (int i = 0; i < 3; ++i) network(x);  // running statistics that keep the maps alive
    network->eval();
    const torch::Tensor cpu = network(x);
    network->to(torch::kCUDA);
    const torch::Tensor cuda = network(x.cuda()).cpu();
    // Dozens of layers, each of which sums in another order.
    CHECK((cuda - cpu).abs().max().item<float>() <= 1e-3F * cpu.abs().max().item<float>());
  }
}

TEST_CASE("to(CUDA, half) keeps num_batches_tracked on the device as int64", "[cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  ConvBlock block(4, 8);
  block->bn->num_batches_tracked.fill_(5001);
  block->to(torch::kCUDA, torch::kHalf);
  CHECK(block->conv->weight.is_cuda());
  CHECK(block->conv->weight.scalar_type() == torch::kHalf);
  CHECK(block->bn->num_batches_tracked.is_cuda());
  CHECK(block->bn->num_batches_tracked.item<int64_t>() == 5001);
}

TEST_CASE("compiled networks compute on CUDA what the plain ones do", "[cuda]") {
  if (!torch::cuda::is_available()) SKIP("no CUDA device");
  const torch::NoGradGuard no_grad;
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  torch::manual_seed(0);
  models::Network net = models::create("resnet18");
  support::settle(*net);
  net->to(torch::kCUDA);
  const auto image = [](int64_t batch) { return torch::randn({batch, 3, 64, 96}, torch::kCUDA); };
  // Half has 11 bits and bfloat16 8, of which twenty layers lose some.
  const std::vector<std::pair<torch::Dtype, double>> tolerances = {
      {torch::kFloat, 1e-4}, {torch::kHalf, 3e-2}, {torch::kBFloat16, 1e-1}};
  for (const auto& [dtype, tolerance] : tolerances) {
    const Compiled fast = compile(net, image(2), {.dtype = dtype, .tf32 = false});
    const Explanation explanation = explain(fast);
    INFO(explanation);
    CHECK(explanation.plans.front().cuda_graph);
    for (const int64_t batch : {2, 1, 2}) {
      const torch::Tensor x = image(batch);
      const torch::Tensor kept = x.clone();
      CHECK(support::distance(fast(x), net(x)) <= tolerance);
      CHECK(torch::equal(x, kept));
    }
    net->parameters()[0].mul_(1.5);  // noticed by its version
    const torch::Tensor x = image(2);
    CHECK(support::distance(fast(x), net(x)) <= tolerance);
  }
}

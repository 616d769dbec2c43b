#include <convkit/convkit.h>

#include "support.h"

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
  check_cuda(Sequential{ConvBlock(4, 8), SeparableConv2d(8, 8), Upsampler(8, 3)}, x);
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

#include <convkit/activation.h>

#include <ATen/ops/hardsigmoid.h>
#include <ATen/ops/hardswish.h>
#include <torch/nn/modules/activation.h>

namespace convkit {

namespace nn = torch::nn;

torch::Tensor HardswishImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  return inplace ? at::hardswish_(y) : at::hardswish(x);
}

torch::Tensor HardsigmoidImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  return inplace ? at::hardsigmoid_(y) : at::hardsigmoid(x);
}

std::shared_ptr<nn::Module> make_activation(const Activation& activation, bool inplace) {
  switch (activation.kind) {
    case Activation::kNone:
      return nullptr;
    case Activation::kReLU:
      return nn::ReLU(nn::ReLUOptions(inplace)).ptr();
    case Activation::kReLU6:
      return nn::ReLU6(nn::ReLU6Options(inplace)).ptr();
    case Activation::kLeakyReLU:
      return nn::LeakyReLU(
                 nn::LeakyReLUOptions().negative_slope(activation.negative_slope).inplace(inplace))
          .ptr();
    case Activation::kPReLU:
      return nn::PReLU().ptr();
    case Activation::kELU:
      return nn::ELU(nn::ELUOptions().alpha(activation.alpha).inplace(inplace)).ptr();
    case Activation::kSiLU:
      return nn::SiLU().ptr();
    case Activation::kGELU:
      return nn::GELU().ptr();
    case Activation::kGELUTanh:
      return nn::GELU(nn::GELUOptions().approximate("tanh")).ptr();
    case Activation::kMish:
      return nn::Mish().ptr();
    case Activation::kHardswish:
      return Hardswish(inplace).ptr();
    case Activation::kHardsigmoid:
      return Hardsigmoid(inplace).ptr();
    case Activation::kSigmoid:
      return nn::Sigmoid().ptr();
    case Activation::kTanh:
      return nn::Tanh().ptr();
  }
  TORCH_CHECK_VALUE(false, "make_activation: expected one of Activation's kinds, got ",
                    static_cast<int>(activation.kind));
}

}  // namespace convkit

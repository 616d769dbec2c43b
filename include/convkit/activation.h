#pragma once

#include <convkit/module.h>

#include <memory>

namespace convkit {

/// y = x relu6(x + 3) / 6; with `inplace` y takes the place of x.
///
/// Shape:   that of x
/// Source:  torch.nn.Hardswish, which LibTorch lacks
class CONVKIT_API HardswishImpl : public Block<HardswishImpl> {
 public:
  explicit HardswishImpl(bool inplace = false) : inplace(inplace) {}

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override;

  bool inplace;
};
CONVKIT_MODULE(Hardswish);

/// y = relu6(x + 3) / 6; with `inplace` y takes the place of x.
///
/// Shape:   that of x
/// Source:  torch.nn.Hardsigmoid, which LibTorch lacks
class CONVKIT_API HardsigmoidImpl : public Block<HardsigmoidImpl> {
 public:
  explicit HardsigmoidImpl(bool inplace = false) : inplace(inplace) {}

  void reset() override {}
  torch::Tensor forward(const torch::Tensor& x) override;

  bool inplace;
};
CONVKIT_MODULE(Hardsigmoid);

/// The activation that a block ends with: `{Activation::kSiLU}`.
struct Activation {
  /// Each stands for the module of its name.
  enum Kind : int {
    kNone,
    kReLU,
    kReLU6,
    kLeakyReLU,
    kPReLU,
    kELU,
    kSiLU,
    kGELU,      ///< x times the normal distribution's function of x
    kGELUTanh,  ///< its approximation by tanh
    kMish,
    kHardswish,
    kHardsigmoid,
    kSigmoid,
    kTanh,
  };
  Kind kind = kReLU;
  double negative_slope = 0.01;  ///< of LeakyReLU
  double alpha = 1;              ///< of ELU
};

/// The module of an activation; null for kNone. `inplace` has no effect on those that LibTorch
/// cannot run in place: PReLU, SiLU, GELU, Mish, Sigmoid and Tanh.
///
/// Source:  torch.nn, with its defaults
CONVKIT_API std::shared_ptr<torch::nn::Module> make_activation(const Activation& activation,
                                                               bool inplace = false);

}  // namespace convkit

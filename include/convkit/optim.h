#pragma once

#include <convkit/tree.h>

#include <torch/types.h>

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Python's optimizers. LibTorch has some of the same names, whose results differ: its Adam from the
/// second step, its SGD in bfloat16. These have the bits of torch.optim on the CPU.
///
///     convkit::optim::AdamW optimizer(net->parameters(), {.lr = 1e-3, .weight_decay = 0.05});
///     for (const auto& [x, y] : batches) {
///       optimizer.zero_grad();
///       loss(net(x), y).backward();
///       optimizer.step();
///     }
namespace convkit::optim {

/// Parameters with options of their own, of one optimizer:
///
///     SGD optimizer({{backbone, {.lr = 1e-3}}, {head, {.lr = 1e-2}}});
template <typename Options>
struct CONVKIT_API ParamGroup {
  std::vector<torch::Tensor> params;
  Options options = {};
};

namespace detail {

/// The tensors that an optimizer keeps for a parameter, in the order of their names; undefined where
/// it has none.
struct CONVKIT_API OptimizerState {
  std::array<torch::Tensor, 4> tensors;
  [[nodiscard]] bool empty() const;
};

/// A parameter that has a gradient.
struct ActiveParam {
  torch::Tensor param;
  torch::Tensor grad;
  OptimizerState* state;
};

}  // namespace detail

/// The part of an optimizer that does not depend on its options; a schedule takes any.
///
/// Differs: Python's default on a GPU, and its options foreach, capturable and differentiable, are
///          not there. Sparse gradients and complex parameters are refused.
class CONVKIT_API Optimizer {
 public:
  Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  virtual ~Optimizer();

  /// Changes each parameter that has a gradient, one step. A closure computes the loss anew, with
  /// gradients, before that; what it gives is returned.
  ///
  /// Throws:  c10::Error for a sparse gradient, and for what `fused` does not take, before anything
  ///          is changed
  torch::Tensor step(const std::function<torch::Tensor()>& closure = {});

  /// Takes the gradients away, or makes them zero.
  void zero_grad(bool set_to_none = true);

  /// How many groups of parameters there are.
  std::size_t groups() const { return params_.size(); }
  /// The parameters of a group.
  const std::vector<torch::Tensor>& params(std::size_t group = 0) const {
    return params_.at(group);
  }

  /// The learning rate of a group.
  double lr(std::size_t group = 0);
  /// Sets that of all groups, or of one.
  void set_lr(double lr);
  void set_lr(std::size_t group, double lr);
  /// The momentum, or beta1, which a schedule may change too; nothing where there is none.
  std::optional<double> momentum(std::size_t group = 0);
  /// Sets it. Throws c10::Error where there is none.
  void set_momentum(std::size_t group, double momentum);
  /// Whether that is the first of two betas.
  virtual bool has_betas() const = 0;

  /// The numbers that schedules keep in a group, such as "initial_lr". They are in the state_dict.
  std::map<std::string, double>& notes(std::size_t group) { return notes_.at(group); }

  /// What Python's optimizer of this name loads: the states of the parameters that had any, by their
  /// numbers, and the options of the groups. Its tensors are the optimizer's.
  Tree state_dict() const;

  /// Takes the state and the options of an optimizer of the same class, from C++ or Python, with as
  /// many parameters in each group. Tensors are converted to the parameters' types and devices; they
  /// are copies.
  ///
  /// Throws:  c10::ValueError for other groups, missing entries, shapes or values that are none of
  ///          these; the optimizer is then unchanged
  /// Source:  torch.optim.Optimizer.load_state_dict
  /// Differs: a state of another shape is refused here, and by Python's first step; options that are
  ///          missing keep their values. `foreach` is left aside, `capturable` and `differentiable`
  ///          are refused.
  void load_state_dict(const Tree& state);

 protected:
  using Active = std::vector<detail::ActiveParam>;  ///< the parameters that have gradients

  /// Python's name of the class, for errors.
  virtual const char* name() const = 0;
  /// The names of the tensors in a parameter's state.
  virtual std::vector<const char*> names() const = 0;
  /// Where a group's options have its lr.
  virtual double* lr_of(std::size_t group) = 0;
  /// Where they have its momentum or first beta; null where there is none.
  virtual double* momentum_of(std::size_t group) = 0;
  /// Throws for what step_group() cannot take.
  virtual void check_group(std::size_t group, const Active& active) const = 0;
  /// Changes a group's parameters, one step.
  virtual void step_group(std::size_t group, const Active& active) = 0;
  /// Adds a group's options to what state_dict() gives.
  virtual void write_options(std::size_t group, Tree& dict) const = 0;
  /// Reads the options of all groups; takes them, if it is told to.
  virtual void read_options(const std::vector<Tree>& groups, bool take) = 0;

  /// Checks a group's parameters and adds them, each once.
  void add_params(const char* name, const std::vector<torch::Tensor>& params);
  /// The states of a group's parameters.
  std::vector<detail::OptimizerState>& states(std::size_t group) { return states_[group]; }

 private:
  std::vector<std::vector<torch::Tensor>> params_;
  std::vector<std::vector<detail::OptimizerState>> states_;
  std::vector<std::map<std::string, double>> notes_;
};

/// An optimizer with its options.
///
/// A parameter that is there twice in a list counts once, as Python's module.parameters() gives it.
template <typename Options>
class CONVKIT_API OptimizerOf : public Optimizer {
 public:
  using Group = ParamGroup<Options>;  ///< parameters with options of their own

  /// Throws:  c10::ValueError for options that Python refuses, no parameters, and those that are no
  ///          leaves or complex, or in two groups
  /// Differs: Python does not check the options of single groups
  explicit OptimizerOf(std::vector<torch::Tensor> params, Options options = {});
  explicit OptimizerOf(std::vector<Group> groups);

  /// Adds a group, as to fine-tune layers that were frozen. Throws what the constructor throws.
  void add_param_group(Group group);

  /// A group's options, which may be changed between steps.
  Options& options(std::size_t group = 0) { return options_.at(group); }
  const Options& options(std::size_t group = 0) const { return options_.at(group); }

  bool has_betas() const override;

 protected:
  const char* name() const override;
  std::vector<const char*> names() const override;
  double* lr_of(std::size_t group) override;
  double* momentum_of(std::size_t group) override;
  void check_group(std::size_t group, const Active& active) const override;
  void step_group(std::size_t group, const Active& active) override;
  void write_options(std::size_t group, Tree& dict) const override;
  void read_options(const std::vector<Tree>& groups, bool take) override;

 private:
  std::vector<Options> options_;
};

/// Options of SGD.
struct CONVKIT_API SGDOptions {
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;  ///< needs a momentum, and no dampening
  bool maximize = false;
  bool fused = false;  ///< Python's fused=True: one loop for all of a step, with other bits
};
/// buf = momentum buf + (1 - dampening) g; p = p - lr buf, where g has weight_decay p added.
///
/// Source:  torch.optim.SGD
/// Differs: with `fused`, bfloat16 and float16 on the CPU are refused: Python's step leaves most of
///          such a parameter as it was. Parameters whose first gradient comes later than others' are
///          an error in Python.
using SGD = OptimizerOf<SGDOptions>;

/// Options of Adam.
struct CONVKIT_API AdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
  bool maximize = false;
  bool fused = false;
  bool decoupled_weight_decay = false;
};
/// p = p - lr m / (sqrt(v) + eps), with running means m of the gradient and v of its square,
/// corrected for their start at 0.
///
/// Source:  torch.optim.Adam
using Adam = OptimizerOf<AdamOptions>;

/// Options of AdamW.
struct CONVKIT_API AdamWOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
  bool maximize = false;
  bool fused = false;
};
/// Adam, with p = p (1 - lr weight_decay) in place of a term of the gradient.
///
/// Source:  torch.optim.AdamW
using AdamW = OptimizerOf<AdamWOptions>;

/// Options of RMSprop.
struct CONVKIT_API RMSpropOptions {
  double lr = 1e-2;
  double alpha = 0.99;
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;
  bool maximize = false;
};
/// p = p - lr g / (sqrt(v) + eps), with a running mean v of the gradient's square.
///
/// Source:  torch.optim.RMSprop
using RMSprop = OptimizerOf<RMSpropOptions>;

/// Options of Adagrad.
struct CONVKIT_API AdagradOptions {
  double lr = 1e-2;
  double lr_decay = 0;
  double weight_decay = 0;
  double initial_accumulator_value = 0;
  double eps = 1e-10;
  bool maximize = false;
  bool fused = false;
};
/// p = p - lr g / (sqrt(s) + eps), with the sum s of the gradient's square.
///
/// Source:  torch.optim.Adagrad
/// Differs: the sums of a group that is added later begin at its own initial_accumulator_value, which
///          Python ignores
using Adagrad = OptimizerOf<AdagradOptions>;

/// Options of NAdam.
struct CONVKIT_API NAdamOptions {
  double lr = 2e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum_decay = 4e-3;
  bool decoupled_weight_decay = false;
  bool maximize = false;
};
/// Adam with Nesterov's momentum.
///
/// Source:  torch.optim.NAdam
using NAdam = OptimizerOf<NAdamOptions>;

/// Options of RAdam.
struct CONVKIT_API RAdamOptions {
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled_weight_decay = false;
  bool maximize = false;
};
/// Adam with a warm-up that the variance of its step size gives.
///
/// Source:  torch.optim.RAdam
using RAdam = OptimizerOf<RAdamOptions>;

}  // namespace convkit::optim

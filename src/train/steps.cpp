#include "train/steps.h"

#include "core/wrapped.h"
#include "train/fused.h"

#include <ATen/ops/full_like.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace convkit::optim::detail {
namespace {

using convkit::detail::multiply_;

using torch::Tensor;

/// A number of its own, on the CPU in Python's default type, for a parameter's state.
Tensor number_tensor(double value) {
  const bool wide = c10::get_default_dtype_as_scalartype() == torch::kDouble;
  return at::scalar_tensor(value, torch::TensorOptions(wide ? torch::kDouble : torch::kFloat));
}

/// Adds 1 to a state's number of steps, and gives it: without an operator's call, where it can.
double next_step(const Tensor& step) {
  if (step.is_cpu() && step.scalar_type() == torch::kFloat) {
    return *step.mutable_data_ptr<float>() += 1.0F;
  }
  if (step.is_cpu() && step.scalar_type() == torch::kDouble) {
    return *step.mutable_data_ptr<double>() += 1.0;
  }
  return step.add_(1).item<double>();
}

template <typename Options>
Tensor gradient(const Options& options, const ActiveParam& p) {
  return options.maximize ? p.grad.neg() : p.grad;
}

/// Python's `**`, which is the library's pow() also where the exponent is a half.
double power(double base, double exponent) {
  return std::pow(base, exponent);
}

/// Makes the states that a parameter begins with: its number of steps and two means of zeros.
void begin(const Tensor& param, Tensor& steps, Tensor& mean, Tensor& square) {
  steps = number_tensor(0);
  mean = at::zeros_like(param);
  square = at::zeros_like(param);
}

void decay(double lr, double weight_decay, bool decoupled, const Tensor& param, Tensor& grad) {
  if (weight_decay == 0) return;
  if (decoupled) {
    multiply_(param, 1 - lr * weight_decay);
  } else {
    grad = grad.add(param, weight_decay);
  }
}

void update_means(const std::array<double, 2>& betas, const Tensor& grad, const Tensor& mean,
                  const Tensor& square) {
  mean.lerp_(grad, 1 - betas[0]);
  multiply_(square, betas[1]).addcmul_(grad, grad, 1 - betas[1]);
}

}  // namespace

void step(const SGDOptions& o, const Active& active) {
  if (o.fused) return fused_step(o, active);
  for (const ActiveParam& p : active) {
    Tensor grad = gradient(o, p);
    if (o.weight_decay != 0) grad = grad.add(p.param, o.weight_decay);
    if (o.momentum != 0) {
      Tensor& buffer = p.state->tensors[0];
      if (!buffer.defined()) {
        buffer = grad.detach().clone();
      } else {
        multiply_(buffer, o.momentum).add_(grad, 1 - o.dampening);
      }
      grad = o.nesterov ? grad.add(buffer, o.momentum) : buffer;
    }
    p.param.add_(grad, -o.lr);
  }
}

void step(const AdamOptions& o, const Active& active) {
  if (o.fused) return fused_step(o, active);
  for (const ActiveParam& p : active) {
    auto& [steps, mean, square, most] = p.state->tensors;
    if (p.state->empty()) {
      begin(p.param, steps, mean, square);
      if (o.amsgrad) most = at::zeros_like(p.param);
    }
    Tensor grad = gradient(o, p);
    const double step = next_step(steps);
    decay(o.lr, o.weight_decay, o.decoupled_weight_decay, p.param, grad);
    update_means(o.betas, grad, mean, square);
    const double correction1 = 1 - power(o.betas[0], step);
    const double correction2 = 1 - power(o.betas[1], step);
    if (o.amsgrad) at::maximum_out(most, most, square);
    const Tensor denominator =
        (o.amsgrad ? most : square).sqrt().div_(power(correction2, 0.5)).add_(o.eps);
    p.param.addcdiv_(mean, denominator, -(o.lr / correction1));
  }
}

void step(const AdamWOptions& o, const Active& active) {
  step(AdamOptions{.lr = o.lr,
                   .betas = o.betas,
                   .eps = o.eps,
                   .weight_decay = o.weight_decay,
                   .amsgrad = o.amsgrad,
                   .maximize = o.maximize,
                   .fused = o.fused,
                   .decoupled_weight_decay = true},
       active);
}

void step(const RMSpropOptions& o, const Active& active) {
  for (const ActiveParam& p : active) {
    auto& [steps, square, buffer, mean] = p.state->tensors;
    if (p.state->empty()) {
      steps = number_tensor(0);
      square = at::zeros_like(p.param);
      if (o.momentum > 0) buffer = at::zeros_like(p.param);
      if (o.centered) mean = at::zeros_like(p.param);
    }
    Tensor grad = gradient(o, p);
    next_step(steps);
    decay(o.lr, o.weight_decay, false, p.param, grad);
    multiply_(square, o.alpha).addcmul_(grad, grad, 1 - o.alpha);
    Tensor root;
    if (o.centered) {
      mean.lerp_(grad, 1 - o.alpha);
      root = square.addcmul(mean, mean, -1).sqrt_();
    } else {
      root = square.sqrt();
    }
    root.add_(o.eps);
    if (o.momentum > 0) {
      multiply_(buffer, o.momentum).addcdiv_(grad, root);
      p.param.add_(buffer, -o.lr);
    } else {
      p.param.addcdiv_(grad, root, -o.lr);
    }
  }
}

OptimizerState first_state(const AdagradOptions& o, const Tensor& param) {
  const Tensor steps = number_tensor(0);
  return {{o.fused ? steps.to(param.device(), torch::kFloat) : steps,
           at::full_like(param.detach(), o.initial_accumulator_value),
           {},
           {}}};
}

void step(const AdagradOptions& o, const Active& active) {
  for (const ActiveParam& p : active) {
    if (p.state->empty()) *p.state = first_state(o, p.param);
  }
  if (o.fused) return fused_step(o, active);
  for (const ActiveParam& p : active) {
    Tensor grad = gradient(o, p);
    const double step = next_step(p.state->tensors[0]);
    const Tensor& sum = p.state->tensors[1];
    decay(o.lr, o.weight_decay, false, p.param, grad);
    const double lr = o.lr / (1 + (step - 1) * o.lr_decay);
    sum.addcmul_(grad, grad, 1);
    p.param.addcdiv_(grad, sum.sqrt().add_(o.eps), -lr);
  }
}

void step(const NAdamOptions& o, const Active& active) {
  for (const ActiveParam& p : active) {
    auto& [steps, product, mean, square] = p.state->tensors;
    if (p.state->empty()) {
      begin(p.param, steps, mean, square);
      product = number_tensor(1);
    }
    Tensor grad = gradient(o, p);
    const double step = next_step(steps);
    const double correction2 = 1 - power(o.betas[1], step);
    decay(o.lr, o.weight_decay, o.decoupled_weight_decay, p.param, grad);
    const double mu = o.betas[0] * (1.0 - 0.5 * power(0.96, step * o.momentum_decay));
    const double mu_next = o.betas[0] * (1.0 - 0.5 * power(0.96, (step + 1) * o.momentum_decay));
    multiply_(product, mu);
    update_means(o.betas, grad, mean, square);
    const Tensor denominator = square.div(correction2).sqrt_().add_(o.eps);
    const double so_far = product.item<double>();
    p.param.addcdiv_(grad, denominator, -o.lr * (1.0 - mu) / (1.0 - so_far));
    p.param.addcdiv_(mean, denominator, (-o.lr * mu_next) / (1.0 - so_far * mu_next));
  }
}

void step(const RAdamOptions& o, const Active& active) {
  for (const ActiveParam& p : active) {
    auto& [steps, mean, square, none] = p.state->tensors;
    if (p.state->empty()) begin(p.param, steps, mean, square);
    Tensor grad = gradient(o, p);
    const double step = next_step(steps);
    decay(o.lr, o.weight_decay, o.decoupled_weight_decay, p.param, grad);
    update_means(o.betas, grad, mean, square);
    const double correction1 = 1 - power(o.betas[0], step);
    const double correction2 = 1 - power(o.betas[1], step);
    const double longest = 2 / (1 - o.betas[1]) - 1;
    const double length = longest - 2 * step * power(o.betas[1], step) / correction2;
    const Tensor update = multiply_(mean / correction1, o.lr);
    if (length > 5.0) {
      const double rectified = power(
          (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length), 0.5);
      const Tensor adaptive =
          multiply_(square.sqrt().add_(o.eps).reciprocal_(), power(correction2, 0.5));
      multiply_(update.mul_(adaptive), rectified);
    }
    p.param.add_(update, -1.0);
  }
}

}  // namespace convkit::optim::detail

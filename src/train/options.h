#pragma once

#include <convkit/optim.h>

#include <c10/util/Exception.h>

#include <type_traits>
#include <vector>

/// What each optimizer's options are called in Python, and their ranges.
namespace convkit::optim::detail {

/// Calls `visit(name, member)` for each option, in Python's order.
template <typename Options, typename Visit>
void visit_options(Options& o, const Visit& visit) {
  using Plain = std::remove_const_t<Options>;
  visit("lr", o.lr);
  if constexpr (std::is_same_v<Plain, SGDOptions>) {
    visit("momentum", o.momentum);
    visit("dampening", o.dampening);
    visit("weight_decay", o.weight_decay);
    visit("nesterov", o.nesterov);
  } else if constexpr (std::is_same_v<Plain, RMSpropOptions>) {
    visit("momentum", o.momentum);
    visit("alpha", o.alpha);
    visit("eps", o.eps);
    visit("centered", o.centered);
    visit("weight_decay", o.weight_decay);
  } else if constexpr (std::is_same_v<Plain, AdagradOptions>) {
    visit("lr_decay", o.lr_decay);
    visit("eps", o.eps);
    visit("weight_decay", o.weight_decay);
    visit("initial_accumulator_value", o.initial_accumulator_value);
  } else {
    visit("betas", o.betas);
    visit("eps", o.eps);
    visit("weight_decay", o.weight_decay);
    if constexpr (requires { o.amsgrad; }) visit("amsgrad", o.amsgrad);
    if constexpr (requires { o.momentum_decay; }) visit("momentum_decay", o.momentum_decay);
    if constexpr (requires { o.decoupled_weight_decay; }) {
      visit("decoupled_weight_decay", o.decoupled_weight_decay);
    }
  }
  visit("maximize", o.maximize);
}

template <typename Options>
constexpr const char* name_of_optimizer() {
  if constexpr (std::is_same_v<Options, SGDOptions>) return "SGD";
  if constexpr (std::is_same_v<Options, AdamOptions>) return "Adam";
  if constexpr (std::is_same_v<Options, AdamWOptions>) return "AdamW";
  if constexpr (std::is_same_v<Options, RMSpropOptions>) return "RMSprop";
  if constexpr (std::is_same_v<Options, AdagradOptions>) return "Adagrad";
  if constexpr (std::is_same_v<Options, NAdamOptions>) return "NAdam";
  if constexpr (std::is_same_v<Options, RAdamOptions>) return "RAdam";
}

template <typename Options>
std::vector<const char*> names_of_states() {
  if constexpr (std::is_same_v<Options, SGDOptions>) return {"momentum_buffer"};
  if constexpr (std::is_same_v<Options, AdamOptions> || std::is_same_v<Options, AdamWOptions>) {
    return {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
  }
  if constexpr (std::is_same_v<Options, RMSpropOptions>) {
    return {"step", "square_avg", "momentum_buffer", "grad_avg"};
  }
  if constexpr (std::is_same_v<Options, AdagradOptions>) return {"step", "sum"};
  if constexpr (std::is_same_v<Options, NAdamOptions>) {
    return {"step", "mu_product", "exp_avg", "exp_avg_sq"};
  }
  if constexpr (std::is_same_v<Options, RAdamOptions>) return {"step", "exp_avg", "exp_avg_sq"};
}

/// Refuses what Python refuses.
template <typename Options>
void check_options(const Options& options) {
  constexpr const char* kName = name_of_optimizer<Options>();
  visit_options(options, [&](const std::string& name, const auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, double>) {
      // Any dampening is a number.
      TORCH_CHECK_VALUE(value >= 0 || name == "dampening", kName, ": expected ", name,
                        " >= 0, got ", value);
    } else if constexpr (!std::is_same_v<T, bool>) {
      for (const double beta : value) {
        TORCH_CHECK_VALUE(beta >= 0 && beta < 1, kName, ": expected betas >= 0 and < 1, got ",
                          value[0], " and ", value[1]);
      }
    }
  });
  if constexpr (std::is_same_v<Options, SGDOptions>) {
    TORCH_CHECK_VALUE(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
                      "SGD: expected a momentum and no dampening with nesterov, got ",
                      options.momentum, " and ", options.dampening);
  }
}

}  // namespace convkit::optim::detail

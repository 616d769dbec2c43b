// The parts of an optimizer that depend on its options, for each of them.
#include "train/optimizer_of.h"

#include "files/file.h"
#include "train/options.h"
#include "train/steps.h"

#include <array>

namespace convkit::optim {
namespace {

/// Python's options that are not there, and what they are in every group. An option that is None
/// where it is false has it here too.
template <typename Options>
void write_others(const Options& options, Tree& dict) {
  dict.set("foreach", Tree());
  dict.set("differentiable", false);
  if constexpr (requires { options.fused; }) dict.set("fused", options.fused ? Tree(true) : Tree());
  if constexpr (!std::is_same_v<Options, SGDOptions> && !std::is_same_v<Options, AdagradOptions>) {
    dict.set("capturable", false);
  }
  if constexpr (std::is_same_v<Options, AdamWOptions>) dict.set("decoupled_weight_decay", true);
}

void read(const Tree& value, double& option) {
  option = value.kind() == Tree::Kind::kTensor ? value.tensor().item<double>() : value.number();
}
void read(const Tree& value, bool& option) {
  option = !value.is_none() && value.boolean();
}
void read(const Tree& value, std::array<double, 2>& option) {
  const std::vector<Tree>& items = value.items();
  TORCH_CHECK_VALUE(items.size() == 2, "Optimizer: expected two betas, got ", items.size());
  read(items[0], option[0]);
  read(items[1], option[1]);
}

template <typename Options>
void read_one(const Tree& group, Options& options) {
  constexpr const char* kName = detail::name_of_optimizer<Options>();
  const auto take = [&](const char* name, auto& option) {
    if (const Tree* value = group.find(name)) read(*value, option);
  };
  detail::visit_options(options, take);
  if constexpr (requires { options.fused; }) take("fused", options.fused);
  for (const char* other : {"capturable", "differentiable"}) {
    bool set = false;
    take(other, set);
    TORCH_CHECK_VALUE(!set, kName, ": expected no ", other, ", got true");
  }
  detail::check_options(options);
}

/// Makes it if the name is that of these options.
template <typename Options>
void make_one(const std::string& name, std::vector<torch::Tensor>& params, const Tree& given,
              std::unique_ptr<Optimizer>& made) {
  if (name != detail::name_of_optimizer<Options>()) return;
  Options options;
  Tree known = Tree::dict();
  detail::visit_options(options, [&](const char* option, const auto&) { known.set(option, true); });
  write_others(options, known);
  for (const Tree::Entry& entry : given.entries()) {
    const auto& option = std::get<std::string>(entry.key);
    const bool sets_foreach =
        option == "foreach" && !entry.value.is_none() && entry.value.boolean();
    TORCH_CHECK_VALUE(known.find(option) != nullptr && !sets_foreach, name, ": expected no option ",
                      convkit::detail::shown(option));
  }
  read_one(given, options);
  made = std::make_unique<OptimizerOf<Options>>(std::move(params), options);
}

}  // namespace

std::unique_ptr<Optimizer> detail::make_optimizer(const std::string& name,
                                                  std::vector<torch::Tensor> params,
                                                  const Tree& options) {
  std::unique_ptr<Optimizer> made;
  make_one<SGDOptions>(name, params, options, made);
  make_one<AdamOptions>(name, params, options, made);
  make_one<AdamWOptions>(name, params, options, made);
  make_one<RMSpropOptions>(name, params, options, made);
  make_one<AdagradOptions>(name, params, options, made);
  make_one<NAdamOptions>(name, params, options, made);
  make_one<RAdamOptions>(name, params, options, made);
  TORCH_CHECK_VALUE(made != nullptr, "make_optimizer: expected an optimizer of optim.h, got ",
                    convkit::detail::shown(name));
  return made;
}

template <typename Options>
OptimizerOf<Options>::OptimizerOf(std::vector<torch::Tensor> params, Options options)
    : OptimizerOf(std::vector<Group>{Group{std::move(params), options}}) {}

template <typename Options>
OptimizerOf<Options>::OptimizerOf(std::vector<Group> groups) {
  constexpr const char* kName = detail::name_of_optimizer<Options>();
  TORCH_CHECK_VALUE(!groups.empty(), kName, ": expected parameters, got none");
  if (groups.size() == 1) {
    TORCH_CHECK_VALUE(!groups[0].params.empty(), kName, ": expected parameters, got none");
  }
  for (Group& group : groups) add_param_group(std::move(group));
}

template <typename Options>
void OptimizerOf<Options>::add_param_group(Group group) {
  detail::check_options(group.options);
  add_params(detail::name_of_optimizer<Options>(), group.params);
  options_.push_back(group.options);
  if constexpr (std::is_same_v<Options, AdagradOptions>) {
    const std::size_t last = options_.size() - 1;
    for (std::size_t i = 0; i < params(last).size(); ++i) {
      states(last)[i] = detail::first_state(options_[last], params(last)[i]);
    }
  }
}

template <typename Options>
const char* OptimizerOf<Options>::name() const {
  return detail::name_of_optimizer<Options>();
}

template <typename Options>
std::vector<const char*> OptimizerOf<Options>::names() const {
  return detail::names_of_states<Options>();
}

template <typename Options>
double* OptimizerOf<Options>::lr_of(std::size_t group) {
  return &options_.at(group).lr;
}

template <typename Options>
bool OptimizerOf<Options>::has_betas() const {
  return requires(Options& options) { options.betas; };
}

template <typename Options>
double* OptimizerOf<Options>::momentum_of(std::size_t group) {
  if constexpr (requires(Options& options) { options.betas; }) {
    return &options_.at(group).betas[0];
  } else if constexpr (requires(Options& options) { options.momentum; }) {
    return &options_.at(group).momentum;
  } else {
    return nullptr;
  }
}

template <typename Options>
void OptimizerOf<Options>::check_group(std::size_t group, const Active& active) const {
  const Options& own = options_[group];
  const auto expect = [&](const detail::ActiveParam& p, std::size_t index, const char* why) {
    TORCH_CHECK(p.state->empty() || p.state->tensors[index].defined(), name(),
                ": expected the state ", names()[index], " of each parameter, got none", why);
  };
  // What every step needs; SGD's buffer and the last ones of others depend on options.
  std::size_t always = std::is_same_v<Options, SGDOptions> ? 0 : names().size();
  if constexpr (requires { own.amsgrad; }) always = 3;
  if constexpr (requires { own.centered; }) always = 2;
  for (const detail::ActiveParam& p : active) {
    for (std::size_t index = 0; index < always; ++index) expect(p, index, "");
    if constexpr (requires { own.fused; }) {
      TORCH_CHECK(!own.fused || p.param.is_floating_point(), name(),
                  ": expected floating point parameters with fused, got ", p.param.dtype());
    }
    if constexpr (std::is_same_v<Options, SGDOptions>) {
      // LibTorch 2.13's kernel leaves most of such a parameter as it was.
      const bool kept = p.param.is_cpu() && c10::isReducedFloatingType(p.param.scalar_type());
      TORCH_CHECK(!own.fused || !kept, name(),
                  ": expected float32 or float64 parameters with fused on the CPU, got ",
                  p.param.dtype(), ", for which LibTorch's kernel does not work");
    }
    if constexpr (requires { own.amsgrad; }) {
      if (own.amsgrad) expect(p, 3, ": amsgrad was off at its first step");
    }
    if constexpr (requires { own.centered; }) {
      if (own.momentum > 0) expect(p, 2, ": momentum was off at its first step");
      if (own.centered) expect(p, 3, ": centered was off at its first step");
    }
  }
}

template <typename Options>
void OptimizerOf<Options>::step_group(std::size_t group, const Active& active) {
  detail::step(options_[group], active);
}

template <typename Options>
void OptimizerOf<Options>::write_options(std::size_t group, Tree& dict) const {
  detail::visit_options(options_[group], [&](const char* name, const auto& value) {
    if constexpr (requires { Tree(value); }) {
      dict.set(name, value);
    } else {
      dict.set(name, Tree::tuple({value[0], value[1]}));
    }
  });
  write_others(options_[group], dict);
}

template <typename Options>
void OptimizerOf<Options>::read_options(const std::vector<Tree>& groups, bool take) {
  for (std::size_t group = 0; group < groups.size(); ++group) {
    Options read = options_[group];
    read_one(groups[group], read);
    if (take) options_[group] = read;
  }
}

template class OptimizerOf<SGDOptions>;
template class OptimizerOf<AdamOptions>;
template class OptimizerOf<AdamWOptions>;
template class OptimizerOf<RMSpropOptions>;
template class OptimizerOf<AdagradOptions>;
template class OptimizerOf<NAdamOptions>;
template class OptimizerOf<RAdamOptions>;

}  // namespace convkit::optim

#include <convkit/optim.h>

#include "train/options.h"
#include "train/steps.h"

#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <set>

namespace convkit::optim {

bool detail::OptimizerState::empty() const {
  return std::none_of(tensors.begin(), tensors.end(),
                      [](const torch::Tensor& tensor) { return tensor.defined(); });
}

Optimizer::~Optimizer() = default;

torch::Tensor Optimizer::step(const std::function<torch::Tensor()>& closure) {
  torch::Tensor loss;
  if (closure) {
    const torch::AutoGradMode with_gradients(true);
    loss = closure();
  }
  const torch::NoGradGuard no_grad;
  std::vector<Active> active(groups());
  for (std::size_t group = 0; group < groups(); ++group) {
    for (std::size_t i = 0; i < params_[group].size(); ++i) {
      const torch::Tensor& param = params_[group][i];
      const torch::Tensor& grad = param.grad();
      if (!grad.defined()) continue;
      TORCH_CHECK(grad.layout() == torch::kStrided, name(), ": expected dense gradients, got a ",
                  grad.layout(), " one");
      active[group].push_back({param, grad, &states_[group][i]});
    }
    check_group(group, active[group]);
  }
  for (std::size_t group = 0; group < groups(); ++group) {
    if (!active[group].empty()) step_group(group, active[group]);
  }
  return loss;
}

void Optimizer::zero_grad(bool set_to_none) {
  for (const auto& group : params_) {
    for (const torch::Tensor& param : group) {
      torch::Tensor& grad = param.mutable_grad();
      if (!grad.defined()) continue;
      if (set_to_none) {
        grad.reset();
        continue;
      }
      if (grad.grad_fn()) {
        grad.detach_();
      } else {
        grad.requires_grad_(false);
      }
      grad.zero_();
    }
  }
}

double Optimizer::lr(std::size_t group) {
  return *lr_of(group);
}

void Optimizer::set_lr(double lr) {
  for (std::size_t group = 0; group < groups(); ++group) set_lr(group, lr);
}

void Optimizer::set_lr(std::size_t group, double lr) {
  *lr_of(group) = lr;
}

void Optimizer::set_momentum(std::size_t group, double momentum) {
  double* const own = momentum_of(group);
  TORCH_CHECK(own != nullptr, name(), ": expected an optimizer with a momentum or betas");
  *own = momentum;
}

std::optional<double> Optimizer::momentum(std::size_t group) {
  const double* momentum = momentum_of(group);
  return momentum == nullptr ? std::nullopt : std::optional(*momentum);
}

void Optimizer::add_params(const char* name, const std::vector<torch::Tensor>& params) {
  std::set<const void*> known;
  for (const auto& group : params_) {
    for (const torch::Tensor& param : group) known.insert(param.unsafeGetTensorImpl());
  }
  const std::size_t others = known.size();
  std::vector<torch::Tensor> added;
  std::set<const void*> own;
  for (const torch::Tensor& param : params) {
    TORCH_CHECK_VALUE(param.defined(), name, ": expected tensors, got an undefined one");
    TORCH_CHECK_VALUE(param.is_leaf() || param.retains_grad(), name,
                      ": expected leaves of the graph, got a result of shape ", param.sizes());
    TORCH_CHECK_VALUE(!param.is_complex(), name, ": expected real parameters, got ", param.dtype());
    const void* id = param.unsafeGetTensorImpl();
    TORCH_CHECK_VALUE(others == 0 || !known.contains(id), name,
                      ": expected each parameter in one group, got one of shape ", param.sizes(),
                      " in two");
    if (own.insert(id).second) added.push_back(param);
  }
  states_.emplace_back(added.size());
  params_.push_back(std::move(added));
  notes_.emplace_back();
}

Tree Optimizer::state_dict() const {
  const std::vector<const char*> state_names = names();
  Tree state = Tree::dict();
  Tree groups = Tree::list();
  int64_t number = 0;
  for (std::size_t group = 0; group < params_.size(); ++group) {
    Tree numbers = Tree::list();
    for (const detail::OptimizerState& own : states_[group]) {
      numbers.add(number);
      Tree tensors = Tree::dict();
      for (std::size_t i = 0; i < state_names.size(); ++i) {
        if (own.tensors[i].defined()) tensors.set(state_names[i], own.tensors[i]);
      }
      if (!own.empty()) state.set(number, tensors);
      ++number;
    }
    Tree dict = Tree::dict();
    write_options(group, dict);
    for (const auto& [key, value] : notes_[group]) dict.set(key, value);
    dict.set("params", numbers);
    groups.add(dict);
  }
  Tree result = Tree::dict();
  result.set("state", state);
  result.set("param_groups", groups);
  return result;
}

namespace {

/// A tensor of a state, as Python's optimizer takes it over.
torch::Tensor taken(const char* optimizer, const std::string& name, const Tree& saved,
                    const torch::Tensor& param, bool fused) {
  const bool is_number = name == "step" || name == "mu_product";
  torch::Tensor value = saved.kind() == Tree::Kind::kTensor
                            ? saved.tensor()
                            : at::scalar_tensor(saved.number(), torch::kFloat);
  const auto sizes = is_number ? torch::IntArrayRef() : param.sizes();
  TORCH_CHECK_VALUE(value.sizes() == sizes, optimizer, ": expected the state ", name, " in shape ",
                    sizes, ", got ", value.sizes());
  if (name == "step") {
    return fused ? value.to(param.device(), torch::kFloat, false, true) : value.clone();
  }
  const torch::Dtype dtype = param.is_floating_point() ? param.scalar_type() : value.scalar_type();
  return value.to(param.device(), dtype, false, true);
}

}  // namespace

void Optimizer::load_state_dict(const Tree& saved) {
  const torch::NoGradGuard no_grad;
  const std::vector<Tree>& saved_groups = saved.at("param_groups").items();
  TORCH_CHECK_VALUE(saved_groups.size() == groups(), name(), ": expected ", groups(),
                    " groups of parameters, got ", saved_groups.size());
  const std::vector<const char*> state_names = names();
  auto states = states_;
  auto notes = notes_;
  for (std::size_t group = 0; group < groups(); ++group) {
    const std::vector<Tree>& numbers = saved_groups[group].at("params").items();
    TORCH_CHECK_VALUE(numbers.size() == params_[group].size(), name(), ": expected ",
                      params_[group].size(), " parameters in group ", group, ", got ",
                      numbers.size());
    const Tree* fused = saved_groups[group].find("fused");
    const bool is_fused = fused != nullptr && !fused->is_none() && fused->boolean();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      detail::OptimizerState& own = states[group][i];
      own = {};
      const Tree* tensors = saved.at("state").find(numbers[i].integer());
      if (tensors == nullptr) continue;
      for (const Tree::Entry& entry : tensors->entries()) {
        const auto known =
            std::find_if(state_names.begin(), state_names.end(), [&](const char* state_name) {
              return entry.key == Tree::Key(std::string(state_name));
            });
        TORCH_CHECK_VALUE(known != state_names.end(), name(),
                          ": expected the state of this optimizer, got another one's");
        if (entry.value.is_none()) continue;
        own.tensors[static_cast<std::size_t>(known - state_names.begin())] =
            taken(name(), *known, entry.value, params_[group][i], is_fused);
      }
    }
    Tree known = Tree::dict();
    write_options(group, known);
    notes[group].clear();
    for (const Tree::Entry& entry : saved_groups[group].entries()) {
      const auto* key = std::get_if<std::string>(&entry.key);
      const bool number =
          entry.value.kind() == Tree::Kind::kFloat || entry.value.kind() == Tree::Kind::kInt;
      if (key != nullptr && number && known.find(*key) == nullptr) {
        notes[group][*key] = entry.value.number();
      }
    }
  }
  read_options(saved_groups, false);
  read_options(saved_groups, true);
  states_ = std::move(states);
  notes_ = std::move(notes);
}

}  // namespace convkit::optim

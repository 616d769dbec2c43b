#include <convkit/module.h>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/nn/modules.h>

#include <algorithm>
#include <mutex>
#include <typeindex>
#include <unordered_map>
#include <unordered_set>

namespace convkit {

TensorModule::~TensorModule() = default;
StateKeys::~StateKeys() = default;

namespace detail {

constinit thread_local const Running* Running::innermost = nullptr;
constinit thread_local CallObserver* CallObserver::current = nullptr;

CallObserver::~CallObserver() = default;

void collect(CallObserver::Tensors& tensors, const std::string& name,
             const std::vector<torch::Tensor>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    collect(tensors, (name.empty() ? "" : name + "/") + std::to_string(i), values[i]);
  }
}

void collect(CallObserver::Tensors& tensors, const std::string& name,
             const torch::OrderedDict<std::string, torch::Tensor>& values) {
  for (const auto& entry : values) {
    collect(tensors, (name.empty() ? "" : name + "/") + entry.key(), entry.value());
  }
}

std::string python_name(const std::string& cpp_name) {
  std::string name = cpp_name.substr(0, cpp_name.find('<'));
  const std::size_t scope = name.rfind("::");
  if (scope != std::string::npos) name = name.substr(scope + 2);
  if (name.ends_with("Impl")) name.resize(name.size() - 4);
  return name;
}

void copy_requires_grad(const torch::nn::Module& from, torch::nn::Module& to) {
  const auto source = from.parameters();
  const auto copies = to.parameters();
  for (std::size_t i = 0; i < source.size(); ++i) {
    torch::Tensor copy = copies[i];
    copy.set_requires_grad(source[i].requires_grad());
  }
}

KeepRandomState::KeepRandomState() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  state_ = generator.get_state();
}

KeepRandomState::~KeepRandomState() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state_);
}

Conversion::Conversion(const torch::nn::Module& module, std::optional<torch::Dtype> new_dtype)
    : parameters_(module.parameters()) {
  if (!new_dtype) return;
  TORCH_CHECK_TYPE(c10::isFloatingType(*new_dtype) || c10::isComplexType(*new_dtype), module.name(),
                   ": expected to() with a floating point or complex dtype, got ", *new_dtype);
  const auto keep = [this](const torch::Tensor& tensor) {
    if (!tensor.is_floating_point() && !tensor.is_complex()) {
      integers_.emplace_back(tensor, tensor.detach());
    }
  };
  for (const torch::Tensor& parameter : parameters_) keep(parameter);
  for (const torch::Tensor& buffer : module.buffers()) keep(buffer);
}

void Conversion::finish() const {
  const torch::NoGradGuard no_grad;
  for (auto [tensor, value] : integers_) tensor.set_data(value.to(tensor.device()));
  for (const torch::Tensor& parameter : parameters_) {
    torch::Tensor& gradient = parameter.mutable_grad();
    if (gradient.defined()) gradient = gradient.to(parameter.device(), parameter.scalar_type());
  }
}

namespace {

using Forward = torch::Tensor (*)(torch::nn::Module&, const torch::Tensor&);

template <typename Impl>
torch::Tensor forward_as(torch::nn::Module& module, const torch::Tensor& x) {
  return static_cast<Impl&>(module).forward(x);
}

/// LibTorch's own forward adds the bias in a second step for more than two dimensions, and rounds
/// twice.
template <>
torch::Tensor forward_as<torch::nn::LinearImpl>(torch::nn::Module& module, const torch::Tensor& x) {
  const auto& linear = static_cast<torch::nn::LinearImpl&>(module);
  return at::linear(x, linear.weight, linear.bias);
}

template <typename... Impls>
std::unordered_map<std::type_index, Forward> forward_table() {
  return {{typeid(Impls), &forward_as<Impls>}...};
}

/// Finds what runs a module of LibTorch, whose `forward` is not virtual: each of its modules that
/// maps one tensor to one is named here. Null for any other.
Forward find_forward(const torch::nn::Module& module) {
  namespace nn = torch::nn;
  static const auto table = forward_table<
      nn::IdentityImpl, nn::FunctionalImpl, nn::LinearImpl, nn::FlattenImpl, nn::UnflattenImpl,
      nn::EmbeddingImpl,
      // convolutions
      nn::Conv1dImpl, nn::Conv2dImpl, nn::Conv3dImpl, nn::ConvTranspose1dImpl,
      nn::ConvTranspose2dImpl, nn::ConvTranspose3dImpl, nn::FoldImpl, nn::UnfoldImpl,
      // normalisation
      nn::BatchNorm1dImpl, nn::BatchNorm2dImpl, nn::BatchNorm3dImpl, nn::InstanceNorm1dImpl,
      nn::InstanceNorm2dImpl, nn::InstanceNorm3dImpl, nn::GroupNormImpl, nn::LayerNormImpl,
      nn::LocalResponseNormImpl, nn::CrossMapLRN2dImpl,
      // activations
      nn::CELUImpl, nn::ELUImpl, nn::GELUImpl, nn::GLUImpl, nn::HardshrinkImpl, nn::HardtanhImpl,
      nn::LeakyReLUImpl, nn::LogSigmoidImpl, nn::LogSoftmaxImpl, nn::MishImpl, nn::PReLUImpl,
      nn::ReLUImpl, nn::ReLU6Impl, nn::RReLUImpl, nn::SELUImpl, nn::SigmoidImpl, nn::SiLUImpl,
      nn::SoftmaxImpl, nn::Softmax2dImpl, nn::SoftminImpl, nn::SoftplusImpl, nn::SoftshrinkImpl,
      nn::SoftsignImpl, nn::TanhImpl, nn::TanhshrinkImpl, nn::ThresholdImpl,
      // pooling
      nn::AdaptiveAvgPool1dImpl, nn::AdaptiveAvgPool2dImpl, nn::AdaptiveAvgPool3dImpl,
      nn::AdaptiveMaxPool1dImpl, nn::AdaptiveMaxPool2dImpl, nn::AdaptiveMaxPool3dImpl,
      nn::AvgPool1dImpl, nn::AvgPool2dImpl, nn::AvgPool3dImpl, nn::FractionalMaxPool2dImpl,
      nn::FractionalMaxPool3dImpl, nn::LPPool1dImpl, nn::LPPool2dImpl, nn::LPPool3dImpl,
      nn::MaxPool1dImpl, nn::MaxPool2dImpl, nn::MaxPool3dImpl,
      // padding and resampling
      nn::ConstantPad1dImpl, nn::ConstantPad2dImpl, nn::ConstantPad3dImpl, nn::PixelShuffleImpl,
      nn::PixelUnshuffleImpl, nn::ReflectionPad1dImpl, nn::ReflectionPad2dImpl,
      nn::ReflectionPad3dImpl, nn::ReplicationPad1dImpl, nn::ReplicationPad2dImpl,
      nn::ReplicationPad3dImpl, nn::UpsampleImpl, nn::ZeroPad1dImpl, nn::ZeroPad2dImpl,
      nn::ZeroPad3dImpl,
      // dropout
      nn::AlphaDropoutImpl, nn::DropoutImpl, nn::Dropout2dImpl, nn::Dropout3dImpl,
      nn::FeatureAlphaDropoutImpl, nn::SequentialImpl>();
  const auto found = table.find(typeid(module));
  return found == table.end() ? nullptr : found->second;
}

}  // namespace

bool maps_tensor_to_tensor(const torch::nn::Module& module) {
  return dynamic_cast<const TensorModule*>(&module) != nullptr || find_forward(module) != nullptr;
}

}  // namespace detail

torch::Tensor forward_child(torch::nn::Module& module, const torch::Tensor& x) {
  if (auto* ours = dynamic_cast<TensorModule*>(&module)) {
    return detail::observed(module, [ours](const auto& in) { return ours->forward(in); }, x);
  }
  const detail::Forward forward = detail::find_forward(module);
  TORCH_CHECK_TYPE(forward != nullptr,
                   "forward_child: expected a module that derives from convkit::Block, or one of "
                   "torch::nn's whose forward takes and gives one tensor, got ",
                   module.name());
  return detail::observed(module, [&](const auto& in) { return forward(module, in); }, x);
}

int64_t parameter_count(const torch::nn::Module& module) {
  std::unordered_set<const c10::TensorImpl*> seen;
  int64_t count = 0;
  for (const torch::Tensor& parameter : module.parameters()) {
    if (seen.insert(parameter.unsafeGetTensorImpl()).second) count += parameter.numel();
  }
  return count;
}

namespace {

/// A module's children themselves. LibTorch gives copies of all of them only, so that a loop over a
/// Sequential would cost the square of its size. They are private, but the arguments of an explicit
/// instantiation may name what is private.
const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>& children_of(
    const torch::nn::Module& module);

/// Likewise the parameters that a module itself has.
torch::OrderedDict<std::string, torch::Tensor>& parameters_of(torch::nn::Module& module);

template <auto kChildren, auto kParameters>
struct PrivateMembers {
  friend const torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>& children_of(
      const torch::nn::Module& module) {
    return module.*kChildren;
  }
  friend torch::OrderedDict<std::string, torch::Tensor>& parameters_of(torch::nn::Module& module) {
    return module.*kParameters;
  }
};
template struct PrivateMembers<&torch::nn::Module::children_, &torch::nn::Module::parameters_>;

}  // namespace

torch::Tensor tie_parameter(torch::nn::Module& module, const std::string& name,
                            const torch::Tensor& parameter) {
  torch::Tensor* own = parameters_of(module).find(name);
  TORCH_CHECK_VALUE(own != nullptr && own->defined(), "tie_parameter: expected a parameter of ",
                    detail::python_name(module.name()), ", got \"", name, "\"");
  TORCH_CHECK_VALUE(parameter.defined() && parameter.sizes() == own->sizes(),
                    "tie_parameter: expected a tensor ", own->sizes(), " for \"", name, "\", got ",
                    parameter.defined() ? c10::str(parameter.sizes()) : "an undefined one");
  return *own = parameter;
}

SequentialImpl::SequentialImpl(std::initializer_list<SequentialChild> children) {
  for (const SequentialChild& child : children) push_back(child);
}

std::shared_ptr<torch::nn::Module> SequentialImpl::clone(
    const std::optional<torch::Device>& device) const {
  const detail::KeepRandomState keep;
  const torch::NoGradGuard no_grad;
  auto copy = std::make_shared<SequentialImpl>();
  copy->train(is_training());  // before it has children, whose own modes may differ
  // A child that stands here twice, sharing its weights, is one module in the copy as well.
  std::unordered_map<const torch::nn::Module*, std::shared_ptr<torch::nn::Module>> copies;
  for (const auto& child : children_of(*this)) {
    auto& child_copy = copies[child.value().get()];
    if (child_copy == nullptr) {
      child_copy = child.value()->clone(device);
      detail::copy_requires_grad(*child.value(), *child_copy);
    }
    copy->register_module(child.key(), child_copy);
  }
  return copy;
}

torch::Tensor SequentialImpl::forward(const torch::Tensor& x) {
  torch::Tensor y = x;
  // children() is a copy: a child that its own forward replaces lives until it is done.
  for (const auto& child : children()) y = forward_child(*child, y);
  return y;
}

void SequentialImpl::push_back(SequentialChild child) {
  const std::string name = child.name.value_or(std::to_string(size()));
  TORCH_CHECK_TYPE(child.module != nullptr, "Sequential: expected a module as child \"", name,
                   "\", got an empty pointer");
  TORCH_CHECK_TYPE(detail::maps_tensor_to_tensor(*child.module), "Sequential: expected as child \"",
                   name,
                   "\" a module that derives from convkit::Block, or one of torch::nn's whose "
                   "forward takes and gives one tensor, got ",
                   child.module->name());
  const auto parts = child.module->modules(/*include_self=*/false);
  const bool cyclic = child.module.get() == this ||
                      std::any_of(parts.begin(), parts.end(),
                                  [this](const auto& part) { return part.get() == this; });
  TORCH_CHECK_VALUE(!cyclic, "Sequential: expected a child \"", name,
                    "\" that does not contain the Sequential itself");
  register_module(name, std::move(child.module));
}

std::size_t SequentialImpl::size() const {
  return children_of(*this).size();
}

std::shared_ptr<torch::nn::Module> SequentialImpl::operator[](std::size_t index) const {
  TORCH_CHECK_INDEX(index < size(), "Sequential: expected an index below its size ", size(),
                    ", got ", index);
  return children_of(*this)[index].value();
}

}  // namespace convkit

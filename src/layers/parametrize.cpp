#include <convkit/parametrize.h>

#include "core/check.h"

#include <ATen/ops/_weight_norm.h>
#include <ATen/ops/div.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/norm_except_dim.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <utility>
#include <vector>

namespace convkit {

namespace nn = torch::nn;

/// What a layer does with a weight and a bias that it is given. It has none itself.
class detail::WeightedLayer {
 public:
  WeightedLayer() = default;
  WeightedLayer(const WeightedLayer&) = delete;
  WeightedLayer& operator=(const WeightedLayer&) = delete;
  virtual ~WeightedLayer() = default;

  virtual torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& weight,
                                const torch::Tensor& bias) const = 0;
  virtual void print(std::ostream& stream) const = 0;
  [[nodiscard]] virtual bool is_transposed() const = 0;
};

namespace {

/// A layer's own class, which knows its options, without its weights.
template <typename Impl>
class LayerOf final : public detail::WeightedLayer {
 public:
  explicit LayerOf(const Impl& layer) : bare_(layer) {}

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& weight,
                        const torch::Tensor& bias) const override {
    if constexpr (std::is_same_v<Impl, nn::LinearImpl>) {
      return at::linear(x, weight, bias);  // its own forward rounds twice
    } else {
      Impl layer(bare_);  // threads may run one module
      layer.weight = weight;
      layer.bias = bias;
      return layer.forward(x);
    }
  }

  void print(std::ostream& stream) const override { bare_.pretty_print(stream); }
  [[nodiscard]] bool is_transposed() const override {
    return bare_.name().find("Transpose") != std::string::npos;
  }

 private:
  struct Bare : Impl {
    explicit Bare(const Impl& layer) : Impl(layer) {
      this->parameters_.clear();
      this->weight.reset();
    }
  };
  Bare bare_;
};

/// A layer, its weight and its bias.
struct Taken {
  std::shared_ptr<const detail::WeightedLayer> layer;
  torch::Tensor weight;
  torch::Tensor bias;
};

template <typename Impl, typename... Others>
Taken taken(const char* name, const nn::Module& module) {
  if (const auto* layer = dynamic_cast<const Impl*>(&module)) {
    return {std::make_shared<LayerOf<Impl>>(*layer), layer->weight, layer->bias};
  }
  if constexpr (sizeof...(Others) > 0) {
    return taken<Others...>(name, module);
  } else {
    TORCH_CHECK_TYPE(false, name, ": expected one of torch::nn's convolutions or its Linear, got ",
                     module.name());
  }
}

Taken taken_of(const char* name, const std::shared_ptr<nn::Module>& module) {
  TORCH_CHECK_TYPE(module != nullptr, name, ": expected a layer, got an empty pointer");
  return taken<nn::Conv1dImpl, nn::Conv2dImpl, nn::Conv3dImpl, nn::ConvTranspose1dImpl,
               nn::ConvTranspose2dImpl, nn::ConvTranspose3dImpl, nn::LinearImpl>(name, *module);
}

/// A module in Python's tree `parametrizations.weight.0`, whose tensors its owner computes with.
class BranchImpl final : public nn::Module {
 private:
  /// In place: the owner's names of the tensors stay true.
  void clone_(nn::Module& other, const std::optional<torch::Device>& device) override {
    const torch::NoGradGuard no_grad;
    const auto copy = [&device](torch::Tensor to, const torch::Tensor& from) {
      to.set_data(device && from.device() != *device ? from.to(*device) : from.clone());
    };
    const auto parameters = other.named_parameters();
    for (const auto& entry : named_parameters()) copy(entry.value(), parameters[entry.key()]);
    const auto buffers = other.named_buffers();
    for (const auto& entry : named_buffers()) copy(entry.value(), buffers[entry.key()]);
  }
};

/// Adds Python's tree to a module: `weight`, and `0` in it.
std::pair<std::shared_ptr<nn::Module>, std::shared_ptr<nn::Module>> add_tree(nn::Module& owner) {
  const auto root = owner.register_module("parametrizations", std::make_shared<BranchImpl>());
  const auto list = root->register_module("weight", std::make_shared<BranchImpl>());
  return {list, list->register_module("0", std::make_shared<BranchImpl>())};
}

torch::Tensor add_parameter(nn::Module& owner, const char* name, const torch::Tensor& value) {
  if (!value.defined()) return owner.register_parameter(name, {}, /*requires_grad=*/false);
  return owner.register_parameter(name, value.detach().clone(), value.requires_grad());
}

torch::Tensor add_buffer(nn::Module& owner, const char* name, const torch::Tensor& value) {
  return owner.register_buffer(name, value.detach().clone());
}

int64_t checked_dim(const char* name, int64_t dim, const torch::Tensor& weight) {
  TORCH_CHECK_VALUE(dim >= -weight.dim() && dim < weight.dim(), name, ": expected a dim of ",
                    weight.sizes(), ", got ", dim);
  return dim < 0 ? dim + weight.dim() : dim;
}

/// Writes x / |x|.
void normalize_into(torch::Tensor& out, const torch::Tensor& x, double eps) {
  at::div_out(out, x, x.norm(2, {0}, /*keepdim=*/true).clamp_min_(eps).expand_as(x));
}

}  // namespace

WeightNormImpl::WeightNormImpl(const std::shared_ptr<nn::Module>& layer, WeightNormOptions norm)
    : options(std::move(norm)) {
  auto taken = taken_of("WeightNorm", layer);
  if (options.dim()) options.dim(checked_dim("WeightNorm", *options.dim(), taken.weight));
  layer_ = taken.layer;
  bias = taken.bias;
  v = taken.weight;
  g = at::norm_except_dim(v.detach(), 2, options.dim().value_or(-1))
          .set_requires_grad(v.requires_grad());
  WeightNormImpl::reset();
}

void WeightNormImpl::reset() {
  bias = add_parameter(*this, "bias", bias);
  nn::Module* owner = this;
  if (!options.legacy()) owner = add_tree(*this).first.get();
  g = add_parameter(*owner, options.legacy() ? "weight_g" : "original0", g);
  v = add_parameter(*owner, options.legacy() ? "weight_v" : "original1", v);
}

torch::Tensor WeightNormImpl::weight() const {
  return at::_weight_norm(v, g, options.dim().value_or(-1));
}

torch::Tensor WeightNormImpl::forward(const torch::Tensor& x) {
  return layer_->forward(x, weight(), bias);
}

std::string WeightNormImpl::current_key(const std::string& key) const {
  if (options.legacy()) return key;
  if (key == "weight_g") return "parametrizations.weight.original0";
  if (key == "weight_v") return "parametrizations.weight.original1";
  return key;
}

void WeightNormImpl::pretty_print(std::ostream& stream) const {
  stream << name() << ' ';
  layer_->print(stream);
}

SpectralNormImpl::SpectralNormImpl(const std::shared_ptr<nn::Module>& layer,
                                   SpectralNormOptions norm)
    : options(std::move(norm)) {
  constexpr const char* kName = "SpectralNorm";
  auto taken = taken_of(kName, layer);
  detail::check_positive(kName, "n_power_iterations", options.n_power_iterations());
  detail::check_eps(kName, options.eps());
  dim_ = checked_dim(kName, options.dim().value_or(taken.layer->is_transposed() ? 1 : 0),
                     taken.weight);
  layer_ = taken.layer;
  bias = taken.bias;
  original = taken.weight;
  const torch::NoGradGuard no_grad;
  const torch::Tensor w = matrix();
  u = at::empty({w.size(0)}, w.options()).normal_();
  v = at::empty({w.size(1)}, w.options()).normal_();
  normalize_into(u, u.clone(), options.eps());
  normalize_into(v, v.clone(), options.eps());
  if (!options.legacy()) {
    iterate(15);
    // Python calls it once to see whether the weight keeps its shape.
    if (layer->is_training()) iterate(options.n_power_iterations());
  }
  SpectralNormImpl::reset();
}

void SpectralNormImpl::reset() {
  bias = add_parameter(*this, "bias", bias);
  if (options.legacy()) {
    original = add_parameter(*this, "weight_orig", original);
    u = add_buffer(*this, "weight_u", u);
    v = add_buffer(*this, "weight_v", v);
  } else {
    const auto [list, first] = add_tree(*this);
    original = add_parameter(*list, "original", original);
    u = add_buffer(*first, "_u", u);
    v = add_buffer(*first, "_v", v);
  }
}

torch::Tensor SpectralNormImpl::matrix() const {
  return (dim_ == 0 ? original : original.movedim(dim_, 0)).flatten(1);
}

void SpectralNormImpl::iterate(int64_t count) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor w = matrix();
  for (int64_t i = 0; i < count; ++i) {
    if (options.legacy()) normalize_into(v, at::mv(w.t(), u), options.eps());
    normalize_into(u, at::mv(w, v), options.eps());
    if (!options.legacy()) normalize_into(v, at::mv(w.t(), u), options.eps());
  }
}

torch::Tensor SpectralNormImpl::weight() const {
  // Copies: the next call changes u and v, and the gradient of this one needs them.
  return original / at::dot(u.clone(), at::mv(matrix(), v.clone()));
}

torch::Tensor SpectralNormImpl::forward(const torch::Tensor& x) {
  if (is_training()) iterate(options.n_power_iterations());
  return layer_->forward(x, weight(), bias);
}

void SpectralNormImpl::pretty_print(std::ostream& stream) const {
  stream << name() << ' ';
  layer_->print(stream);
}

}  // namespace convkit

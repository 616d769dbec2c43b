#include <convkit/amp.h>

#include <ATen/autocast_mode.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_amp_update_scale.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace convkit::amp {

using torch::Tensor;

Autocast::Autocast(torch::DeviceType device, AutocastOptions options) : device_(device) {
  TORCH_CHECK_VALUE(at::autocast::is_autocast_available(device),
                    "Autocast: expected a device with autocast, got ",
                    c10::DeviceTypeName(device, true));
  was_enabled_ = at::autocast::is_autocast_enabled(device);
  previous_dtype_ = at::autocast::get_autocast_dtype(device);
  was_cache_enabled_ = at::autocast::is_autocast_cache_enabled();
  const torch::Dtype dtype = options.dtype.value_or(previous_dtype_);
  TORCH_CHECK_VALUE(!options.enabled || dtype == torch::kBFloat16 || dtype == torch::kHalf,
                    "Autocast: expected dtype bfloat16 or float16, got ",
                    c10::scalarTypeToTypeMeta(dtype));
  at::autocast::set_autocast_enabled(device, options.enabled);
  at::autocast::set_autocast_dtype(device, dtype);
  at::autocast::increment_nesting();
  at::autocast::set_autocast_cache_enabled(options.cache_enabled.value_or(was_cache_enabled_));
}

Autocast::~Autocast() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, previous_dtype_);
  at::autocast::set_autocast_cache_enabled(was_cache_enabled_);
}

namespace {

/// The gradients of an optimizer's parameters, those of a device and type together.
auto gradients(const optim::Optimizer& optimizer) {
  std::map<std::tuple<c10::DeviceType, int, torch::Dtype>, std::vector<Tensor>> result;
  for (std::size_t group = 0; group < optimizer.groups(); ++group) {
    for (const Tensor& param : optimizer.params(group)) {
      const Tensor& grad = param.grad();
      if (!grad.defined()) continue;
      TORCH_CHECK_VALUE(grad.layout() == torch::kStrided,
                        "GradScaler: expected dense gradients, got a ", grad.layout(), " one");
      TORCH_CHECK_VALUE(grad.scalar_type() != torch::kHalf,
                        "GradScaler: expected no gradients in float16, got one of shape ",
                        grad.sizes(), "; keep the parameters in float32, and compute in Autocast");
      result[{grad.device().type(), grad.device().index(), grad.scalar_type()}].push_back(grad);
    }
  }
  return result;
}

}  // namespace

GradScaler::GradScaler(GradScalerOptions options) : options_(options) {
  if (!options.enabled) return;
  TORCH_CHECK_VALUE(options.growth_factor > 1, "GradScaler: expected growth_factor > 1, got ",
                    options.growth_factor);
  TORCH_CHECK_VALUE(options.backoff_factor < 1, "GradScaler: expected backoff_factor < 1, got ",
                    options.backoff_factor);
}

void GradScaler::check_scaled(const char* function) const {
  TORCH_CHECK(scale_.defined(), "GradScaler: expected scale() before ", function,
              "(), got no loss yet");
}

Tensor GradScaler::scale(const Tensor& loss) {
  if (!options_.enabled) return loss;
  if (!scale_.defined()) {
    scale_ = at::full({}, options_.init_scale, loss.options().dtype(torch::kFloat));
    tracker_ = at::full({}, first_tracker_, loss.options().dtype(torch::kInt));
  }
  return loss * scale_.to(loss.device());
}

void GradScaler::unscale_(optim::Optimizer& optimizer) {
  if (!options_.enabled) return;
  check_scaled("unscale_");
  const auto known = progress_.find(&optimizer);
  TORCH_CHECK(known == progress_.end(), "GradScaler: expected one unscale_() of an optimizer, ",
              "before its step(), got one after ",
              known->second.stage == Stage::kStepped ? "step()" : "unscale_()",
              "; update() ends an iteration");
  const torch::NoGradGuard no_grad;
  const auto batches = gradients(optimizer);
  // Rounded once, from the inverse in float64, as Python's is.
  const Tensor inverse = scale_.to(torch::kDouble).reciprocal().to(torch::kFloat);
  std::vector<Tensor> found;
  for (const auto& [key, grads] : batches) {
    const torch::Device device = grads.front().device();
    if (found.empty() || found.back().device() != device) {
      found.push_back(at::zeros({}, torch::TensorOptions(torch::kFloat).device(device)));
    }
    at::_amp_foreach_non_finite_check_and_unscale_(grads, found.back(), inverse.to(device));
  }
  progress_[&optimizer] = {Stage::kUnscaled, found};
}

bool GradScaler::step(optim::Optimizer& optimizer) {
  if (!options_.enabled) {
    optimizer.step();
    return true;
  }
  check_scaled("step");
  const auto known = progress_.find(&optimizer);
  TORCH_CHECK(known == progress_.end() || known->second.stage != Stage::kStepped,
              "GradScaler: expected one step() of an optimizer, got a second; update() ends an ",
              "iteration");
  if (known == progress_.end()) unscale_(optimizer);
  Progress& progress = progress_.at(&optimizer);
  TORCH_CHECK(!progress.found.empty(),
              "GradScaler: expected an optimizer with gradients, got none; step() stands after "
              "backward()");
  const bool finite = std::all_of(progress.found.begin(), progress.found.end(),
                                  [](const Tensor& found) { return found.item<float>() == 0; });
  if (finite) optimizer.step();
  progress.stage = Stage::kStepped;
  return finite;
}

void GradScaler::update(std::optional<double> new_scale) {
  if (!options_.enabled) return;
  check_scaled("update");
  const torch::NoGradGuard no_grad;
  if (new_scale) {
    scale_.fill_(*new_scale);
  } else {
    Tensor found;
    for (const auto& [optimizer, progress] : progress_) {
      for (const Tensor& one : progress.found) {
        const Tensor here = one.to(scale_.device());
        found = found.defined() ? found + here : here;
      }
    }
    TORCH_CHECK(found.defined(), "GradScaler: expected step() before update(), got none");
    at::_amp_update_scale_(scale_, tracker_, found, options_.growth_factor, options_.backoff_factor,
                           options_.growth_interval);
  }
  progress_.clear();
}

double GradScaler::get_scale() const {
  if (!options_.enabled) return 1;
  return scale_.defined() ? scale_.item<float>() : options_.init_scale;
}

Tree GradScaler::state_dict() const {
  Tree state = Tree::dict();
  if (!options_.enabled) return state;
  state.set("scale", get_scale());
  state.set("growth_factor", options_.growth_factor);
  state.set("backoff_factor", options_.backoff_factor);
  state.set("growth_interval", options_.growth_interval);
  state.set("_growth_tracker",
            tracker_.defined() ? int64_t{tracker_.item<int32_t>()} : first_tracker_);
  return state;
}

void GradScaler::load_state_dict(const Tree& state) {
  if (!options_.enabled) return;
  TORCH_CHECK_VALUE(!state.entries().empty(),
                    "GradScaler: expected the state of a scaler, got an empty one, as a scaler "
                    "that is not enabled gives it");
  GradScalerOptions read = options_;
  read.init_scale = state.at("scale").number();
  read.growth_factor = state.at("growth_factor").number();
  read.backoff_factor = state.at("backoff_factor").number();
  read.growth_interval = state.at("growth_interval").integer();
  const int64_t tracker = state.at("_growth_tracker").integer();
  options_ = read;
  first_tracker_ = tracker;
  if (!scale_.defined()) return;
  const torch::NoGradGuard no_grad;
  scale_.fill_(read.init_scale);
  tracker_.fill_(tracker);
}

}  // namespace convkit::amp

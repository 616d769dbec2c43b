#pragma once

#include <convkit/optim.h>

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

/// Training in two types: what gains by it is computed in bfloat16 or float16, the weights and what
/// has to be exact stay in float32.
///
///     for (const auto& [x, y] : batches) {
///       optimizer.zero_grad();
///       torch::Tensor loss;
///       {
///         const convkit::amp::Autocast autocast(torch::kCPU);
///         loss = torch::mse_loss(net(x), y);
///       }
///       loss.backward();
///       optimizer.step();
///     }
namespace convkit::amp {

/// Options of Autocast.
struct AutocastOptions {
  /// bfloat16 or float16; without it, the type that is set for the device: on the CPU that of the
  /// Autocast around this one, and bfloat16 outside of all.
  std::optional<torch::Dtype> dtype = {};
  bool enabled = true;  ///< false: what is computed keeps its type, inside another Autocast too
  /// Whether a weight that was converted is kept for its next use; without it, as it is set.
  std::optional<bool> cache_enabled = {};
};

/// While it lives, operators of this thread convert what they take: convolutions and products to the
/// lower type, those that lose by it to float32. Guards go in the reverse of the order in which they
/// came; the outermost takes the kept weights with it.
///
/// Throws:  c10::ValueError for a device that has no autocast, and another type while enabled
/// Source:  torch.autocast
/// Differs: Python warns of another type, and goes on without. What needs a GPU has never run on one.
class CONVKIT_API Autocast {
 public:
  explicit Autocast(torch::DeviceType device, AutocastOptions options = {});
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
  ~Autocast();

 private:
  torch::DeviceType device_;
  bool was_enabled_;
  torch::Dtype previous_dtype_;
  bool was_cache_enabled_;
};

/// Options of GradScaler.
struct GradScalerOptions {
  double init_scale = 65536;
  double growth_factor = 2;
  double backoff_factor = 0.5;
  int64_t growth_interval = 2000;
  bool enabled = true;  ///< false: losses are not scaled, and every step is made
};

/// Keeps small gradients from becoming 0 in float16: the loss is multiplied by a scale, the gradients
/// are divided by it, and a step whose gradients are not finite is left out. Such a step multiplies
/// the scale by backoff_factor, and growth_interval others in a row multiply it by growth_factor.
///
///     scaler.scale(loss).backward();
///     scaler.step(optimizer);
///     scaler.update();
///
/// Throws:  c10::ValueError for a growth_factor of at most 1 or a backoff_factor of at least 1
/// Source:  torch.amp.GradScaler
/// Differs: There is no device: the scale is where the first loss is. With `fused` Python's kernels
///          divide by the scale, here too its inverse is multiplied by, which is the same for powers
///          of two; and where Python leaves out the first step of such an SGD with a momentum, it
///          goes on with a buffer that was never written. On a GPU it has never run.
class CONVKIT_API GradScaler {
 public:
  explicit GradScaler(GradScalerOptions options = {});

  /// The loss times the scale.
  torch::Tensor scale(const torch::Tensor& loss);

  /// Divides the gradients of an optimizer by the scale, for what looks at them before its step, such
  /// as clip_grad_norm_.
  ///
  /// Throws:  c10::Error before the first scale(), and if it or step() was called for this optimizer
  ///          since the last update(); c10::ValueError for gradients that are in float16 or sparse;
  ///          the gradients are then as they were
  void unscale_(optim::Optimizer& optimizer);

  /// Unscales what is not yet, and makes the optimizer's step if all gradients are finite. Gives
  /// whether it was made.
  ///
  /// Throws:  c10::Error before the first scale(), for a second call since the last update(), and for
  ///          an optimizer without gradients; and what unscale_() throws
  bool step(optim::Optimizer& optimizer);

  /// Adapts the scale to what the steps since the last update found, or sets it.
  ///
  /// Throws:  c10::Error before the first scale(); without a new scale, where there was no step
  void update(std::optional<double> new_scale = {});

  double get_scale() const;  ///< 1 if it is not enabled
  /// The options that it was made with.
  const GradScalerOptions& options() const { return options_; }

  /// Python's entries: scale, growth_factor, backoff_factor, growth_interval and _growth_tracker, the
  /// number of steps in a row; none if it is not enabled.
  Tree state_dict() const;

  /// Takes the state of a scaler of C++ or Python, unless it is not enabled.
  ///
  /// Throws:  c10::ValueError for an empty state, missing entries, or values of other kinds; the
  ///          scaler is then unchanged
  void load_state_dict(const Tree& state);

 private:
  enum class Stage { kUnscaled, kStepped };
  /// What was done with an optimizer since the last update.
  struct Progress {
    Stage stage = Stage::kUnscaled;
    std::vector<torch::Tensor> found;  // of each device: whether a gradient was not finite
  };

  void check_scaled(const char* function) const;

  GradScalerOptions options_;
  int64_t first_tracker_ = 0;
  torch::Tensor scale_;  // both from the first loss on
  torch::Tensor tracker_;
  std::map<const optim::Optimizer*, Progress> progress_;
};

}  // namespace convkit::amp

#pragma once

#include <convkit/optim.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

/// Python's schedules of learning rates. Each gives the same doubles as Python's: most of them get a
/// rate from the one before, which rounds otherwise than a formula of the epoch.
///
///     convkit::optim::CosineAnnealingLR schedule(optimizer, {.T_max = 90});
///     for (int epoch = 0; epoch < 90; ++epoch) {
///       train();
///       schedule.step();
///     }
///
/// A schedule keeps a reference to its optimizer. It sets the rates of the first epoch when it is
/// made.
///
/// Differs: Python's last_epoch and step(epoch) are not there: load_state_dict() goes on with a
///          schedule.
namespace convkit::optim {

namespace detail {
class ScheduleFields;
}

/// What all schedules have.
class CONVKIT_API Schedule {
 public:
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;
  virtual ~Schedule();

  /// The optimizer whose rates it sets.
  Optimizer& optimizer() const { return *optimizer_; }
  /// The number of the epoch whose rates are set, from 0 on.
  int64_t last_epoch() const { return last_epoch_; }
  /// The rate of each group that was set last.
  const std::vector<double>& get_last_lr() const { return last_lr_; }

  /// What Python's schedule of this name loads.
  Tree state_dict() const;
  /// Takes the state of a schedule of the same class, from C++ or Python. The optimizer's rates come
  /// with its own state.
  ///
  /// Throws:  c10::ValueError for a state that lacks something; the schedule is then unchanged
  void load_state_dict(const Tree& state);

 protected:
  explicit Schedule(Optimizer& optimizer) : optimizer_(&optimizer) {}
  /// Names what state_dict() has, one member after the other.
  virtual void fields(detail::ScheduleFields& fields) = 0;
  /// The rate of each group as the optimizer has it.
  std::vector<double> current() const;
  /// Sets the rate of each group.
  void set(const std::vector<double>& lrs);

  Optimizer* const optimizer_;
  int64_t last_epoch_ = -1;
  std::vector<double> last_lr_;

  friend class detail::ScheduleFields;
};

/// A schedule that goes on with every call.
class CONVKIT_API LRScheduler : public Schedule {
 public:
  /// Sets the rates of the next epoch. It is called after the optimizer's step.
  virtual void step();

 protected:
  explicit LRScheduler(Optimizer& optimizer);
  void fields(detail::ScheduleFields& fields) override;

  /// The first step, of which each constructor is the last line.
  void first_step();
  /// The rate of each group in the epoch that has just begun, by those of the one before.
  virtual std::vector<double> get_lr() = 0;
  /// The rates by a formula, for a schedule that begins after another one; else what get_lr() gives.
  virtual std::vector<double> closed_form() { return get_lr(); }
  /// Goes on to the next epoch, or to a given one by the closed form, and sets its rates.
  virtual void update(std::optional<int64_t> epoch);
  /// Takes the first step back, for a schedule that begins after another one.
  virtual void undo() { --last_epoch_; }
  /// Throws where there is no step any more.
  virtual void check_step() const {}
  /// The present rates times a factor.
  std::vector<double> times(double factor) const;
  /// The rates at the beginning times a factor.
  std::vector<double> base_times(double factor) const;

  std::vector<double> base_lrs_;
  int64_t step_count_ = 0;
  bool is_initial_ = false;

  friend class SequentialLR;
};

/// Options of StepLR.
struct StepLROptions {
  int64_t step_size;
  double gamma = 0.1;
};
/// lr = lr gamma, every step_size epochs.
///
/// Source:  torch.optim.lr_scheduler.StepLR
class CONVKIT_API StepLR : public LRScheduler {
 public:
  /// Throws:  c10::ValueError for step_size < 1
  StepLR(Optimizer& optimizer, StepLROptions options);

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  StepLROptions options_;
};

/// Options of MultiStepLR.
struct MultiStepLROptions {
  std::vector<int64_t> milestones;
  double gamma = 0.1;
};
/// lr = lr gamma, at each milestone; one that is there twice counts twice.
///
/// Source:  torch.optim.lr_scheduler.MultiStepLR
class CONVKIT_API MultiStepLR : public LRScheduler {
 public:
  MultiStepLR(Optimizer& optimizer, const MultiStepLROptions& options);

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  std::map<int64_t, int64_t> milestones_;
  double gamma_;
};

/// Options of ConstantLR.
struct ConstantLROptions {
  double factor = 1.0 / 3;
  int64_t total_iters = 5;
};
/// lr = lr factor for total_iters epochs, then lr.
///
/// Throws:  c10::ValueError for a factor that is not above 0 and at most 1
/// Source:  torch.optim.lr_scheduler.ConstantLR
/// Differs: Python takes a factor of 0, and fails when it ends
class CONVKIT_API ConstantLR : public LRScheduler {
 public:
  explicit ConstantLR(Optimizer& optimizer, ConstantLROptions options = {});

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  ConstantLROptions options_;
};

/// Options of LinearLR.
struct LinearLROptions {
  double start_factor = 1.0 / 3;
  double end_factor = 1.0;
  int64_t total_iters = 5;
};
/// lr times a factor that goes from start_factor to end_factor within total_iters epochs.
///
/// Throws:  c10::ValueError for a start_factor that is not above 0 and at most 1, and an end_factor
///          below 0 or above 1
/// Source:  torch.optim.lr_scheduler.LinearLR
class CONVKIT_API LinearLR : public LRScheduler {
 public:
  explicit LinearLR(Optimizer& optimizer, LinearLROptions options = {});

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  LinearLROptions options_;
};

/// Options of ExponentialLR.
struct ExponentialLROptions {
  double gamma;
};
/// lr = lr gamma, every epoch.
///
/// Source:  torch.optim.lr_scheduler.ExponentialLR
class CONVKIT_API ExponentialLR : public LRScheduler {
 public:
  ExponentialLR(Optimizer& optimizer, ExponentialLROptions options);

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  ExponentialLROptions options_;
};

/// Options of PolynomialLR.
struct PolynomialLROptions {
  int64_t total_iters = 5;
  double power = 1.0;
};
/// lr (1 - epoch / total_iters)^power.
///
/// Source:  torch.optim.lr_scheduler.PolynomialLR
class CONVKIT_API PolynomialLR : public LRScheduler {
 public:
  /// Throws:  c10::ValueError for total_iters < 1
  explicit PolynomialLR(Optimizer& optimizer, PolynomialLROptions options = {});

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  PolynomialLROptions options_;
};

/// Options of CosineAnnealingLR.
struct CosineAnnealingLROptions {
  int64_t T_max;
  double eta_min = 0;
};
/// From lr to eta_min within T_max epochs, along half a cosine, and back.
///
/// Source:  torch.optim.lr_scheduler.CosineAnnealingLR
class CONVKIT_API CosineAnnealingLR : public LRScheduler {
 public:
  /// Throws:  c10::ValueError for T_max < 1
  CosineAnnealingLR(Optimizer& optimizer, CosineAnnealingLROptions options);

 protected:
  std::vector<double> get_lr() override;
  std::vector<double> closed_form() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  CosineAnnealingLROptions options_;
};

}  // namespace convkit::optim

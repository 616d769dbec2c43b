#pragma once

#include <convkit/lr_scheduler.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Schedules with more than a formula: functions of yours, several after each other, restarts, one
/// of a whole training, and one that looks at the results.
namespace convkit::optim {

/// lr times what a function gives for the epoch: one for all groups, or one for each. The functions
/// are not in the state_dict.
///
/// Throws:  c10::ValueError for another number of functions than of groups
/// Source:  torch.optim.lr_scheduler.LambdaLR
class CONVKIT_API LambdaLR : public LRScheduler {
 public:
  using Function = std::function<double(int64_t epoch)>;  ///< gives an epoch's factor
  LambdaLR(Optimizer& optimizer, const Function& function);
  LambdaLR(Optimizer& optimizer, std::vector<Function> functions);

 protected:
  std::vector<double> get_lr() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  std::vector<Function> functions_;
};

/// One schedule after the other: the next one begins at each milestone, anew.
///
///     auto warmup = std::make_shared<LinearLR>(optimizer, LinearLROptions{.total_iters = 5});
///     auto cosine = std::make_shared<CosineAnnealingLR>(optimizer, CosineAnnealingLROptions{85});
///     SequentialLR schedule(optimizer, {warmup, cosine}, {5});
///
/// Throws:  c10::ValueError for no schedules, those of another optimizer, a SequentialLR that is not
///          the first, and another number of milestones than one less than schedules
/// Source:  torch.optim.lr_scheduler.SequentialLR
class CONVKIT_API SequentialLR : public LRScheduler {
 public:
  SequentialLR(Optimizer& optimizer, std::vector<std::shared_ptr<LRScheduler>> schedulers,
               std::vector<int64_t> milestones);

  void step() override;

 protected:
  std::vector<double> get_lr() override;
  void undo() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  std::vector<std::shared_ptr<LRScheduler>> schedulers_;
  std::vector<int64_t> milestones_;
};

/// Options of CosineAnnealingWarmRestarts.
struct CosineAnnealingWarmRestartsOptions {
  int64_t T_0;
  int64_t T_mult = 1;
  double eta_min = 0;
};
/// From lr to eta_min along half a cosine, again and again: within T_0 epochs, then T_mult times as
/// many.
///
/// Throws:  c10::ValueError for T_0 or T_mult below 1
/// Source:  torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
class CONVKIT_API CosineAnnealingWarmRestarts : public LRScheduler {
 public:
  CosineAnnealingWarmRestarts(Optimizer& optimizer, CosineAnnealingWarmRestartsOptions options);

  void step() override;

 protected:
  std::vector<double> get_lr() override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  CosineAnnealingWarmRestartsOptions options_;
  int64_t t_i_;
  double t_cur_ = -1;
};

/// One number for all groups of an optimizer, or one for each.
class CONVKIT_API PerGroup {
 public:
  PerGroup(double value) : values_{value} {}
  PerGroup(std::vector<double> values) : values_(std::move(values)), each_(true) {}

  /// Throws c10::ValueError, which begins with `what`, for another number of them than of groups.
  std::vector<double> of(const Optimizer& optimizer, const char* what) const;

 private:
  std::vector<double> values_;
  bool each_ = false;
};

/// Options of OneCycleLR.
struct OneCycleLROptions {
  PerGroup max_lr;
  int64_t total_steps;                  ///< epochs times steps of an epoch
  double pct_start = 0.3;               ///< the part of the steps in which the rate grows
  std::string anneal_strategy = "cos";  ///< or "linear"
  bool cycle_momentum = true;           ///< moves the momentum, or beta1, against the rate
  PerGroup base_momentum = 0.85;
  PerGroup max_momentum = 0.95;
  double div_factor = 25;
  double final_div_factor = 1e4;
  bool three_phase = false;
};
/// From max_lr / div_factor up to max_lr, and down to a part 1 / final_div_factor of where it began.
/// step() is called after every batch.
///
/// Throws:  c10::ValueError for total_steps < 1, pct_start outside of [0, 1], another
///          anneal_strategy, or an optimizer without a momentum or betas to cycle; step() throws
///          c10::Error after total_steps
/// Source:  torch.optim.lr_scheduler.OneCycleLR
class CONVKIT_API OneCycleLR : public LRScheduler {
 public:
  OneCycleLR(Optimizer& optimizer, const OneCycleLROptions& options);

 protected:
  std::vector<double> get_lr() override;
  void check_step() const override;
  void fields(detail::ScheduleFields& fields) override;

 private:
  struct Phase {
    double end_step;
    const char* start_lr;
    const char* end_lr;
    const char* start_momentum;
    const char* end_momentum;
  };
  double anneal(double start, double end, double part) const;

  int64_t total_steps_;
  std::vector<Phase> phases_;
  std::string anneal_strategy_;
  bool cycle_momentum_;
  bool use_beta1_ = false;
};

/// Options of ReduceLROnPlateau.
struct ReduceLROnPlateauOptions {
  std::string mode = "min";  ///< or "max": what is better
  double factor = 0.1;
  int64_t patience = 10;
  double threshold = 1e-4;
  std::string threshold_mode = "rel";  ///< or "abs"
  int64_t cooldown = 0;
  PerGroup min_lr = 0;
  double eps = 1e-8;
};
/// lr = lr factor, when the metric was no better for more than `patience` epochs.
///
/// Throws:  c10::ValueError for a factor of 1 or more, another mode or threshold_mode
/// Source:  torch.optim.lr_scheduler.ReduceLROnPlateau
class CONVKIT_API ReduceLROnPlateau : public Schedule {
 public:
  explicit ReduceLROnPlateau(Optimizer& optimizer, const ReduceLROnPlateauOptions& options = {});

  /// Takes a loss or an accuracy of an epoch.
  void step(double metric);

 protected:
  void fields(detail::ScheduleFields& fields) override;

 private:
  bool is_better(double metric) const;

  ReduceLROnPlateauOptions options_;
  std::vector<double> min_lrs_;
  double best_;
  int64_t cooldown_counter_ = 0;
  int64_t num_bad_epochs_ = 0;
};

}  // namespace convkit::optim

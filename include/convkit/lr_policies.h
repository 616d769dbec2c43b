#pragma once

#include <convkit/lr_scheduler.h>

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <utility>
#include <vector>

/// Schedules with more than a formula: one of a whole training, and one that looks at the results.
namespace convkit::optim {

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

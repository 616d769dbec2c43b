// Schedules with more than a formula.
#include "train/schedule_fields.h"

#include <convkit/lr_policies.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace convkit::optim {
namespace {

constexpr double kHalfTurn = 3.141592653589793;

std::vector<LambdaLR::Function> copies(const Optimizer& optimizer, const LambdaLR::Function& f) {
  return std::vector<LambdaLR::Function>(optimizer.groups(), f);
}

}  // namespace

LambdaLR::LambdaLR(Optimizer& optimizer, const Function& function)
    : LambdaLR(optimizer, copies(optimizer, function)) {}

LambdaLR::LambdaLR(Optimizer& optimizer, std::vector<Function> functions)
    : LRScheduler(optimizer), functions_(std::move(functions)) {
  TORCH_CHECK_VALUE(functions_.size() == optimizer.groups(), "LambdaLR: expected ",
                    optimizer.groups(), " functions, one for each group, got ", functions_.size());
  LambdaLR::first_step();
}

std::vector<double> LambdaLR::get_lr() {
  std::vector<double> result = base_lrs_;
  for (std::size_t i = 0; i < result.size(); ++i) result[i] *= functions_[i](last_epoch_);
  return result;
}

void LambdaLR::fields(detail::ScheduleFields& fields) {
  LRScheduler::fields(fields);
  fields.constant("lr_lambdas", Tree::list(std::vector<Tree>(functions_.size())));
}

SequentialLR::SequentialLR(Optimizer& optimizer,
                           std::vector<std::shared_ptr<LRScheduler>> schedulers,
                           std::vector<int64_t> milestones)
    : LRScheduler(optimizer),
      schedulers_(std::move(schedulers)),
      milestones_(std::move(milestones)) {
  TORCH_CHECK_VALUE(!schedulers_.empty(), "SequentialLR: expected schedules, got none");
  TORCH_CHECK_VALUE(milestones_.size() + 1 == schedulers_.size(), "SequentialLR: expected ",
                    schedulers_.size() - 1, " milestones for ", schedulers_.size(),
                    " schedules, got ", milestones_.size());
  for (std::size_t i = 0; i < schedulers_.size(); ++i) {
    TORCH_CHECK_VALUE(schedulers_[i] != nullptr && &schedulers_[i]->optimizer() == &optimizer,
                      "SequentialLR: expected schedules of its own optimizer, got another at ", i);
    TORCH_CHECK_VALUE(
        i == 0 || std::dynamic_pointer_cast<SequentialLR>(schedulers_[i]) == nullptr,
        "SequentialLR: expected a SequentialLR as the first schedule alone, got one at ", i);
  }
  last_epoch_ = 0;
  for (std::size_t group = 0; group < optimizer.groups(); ++group) {
    optimizer.set_lr(group, optimizer.notes(group).at("initial_lr"));
  }
  // The schedules have taken their first steps already. Only the first in turn takes it again.
  SequentialLR::undo();
  const auto after = std::upper_bound(milestones_.begin(), milestones_.end(), 0);
  LRScheduler& first = *schedulers_[static_cast<std::size_t>(after - milestones_.begin())];
  first.first_step();
  last_lr_ = first.get_last_lr();
}

void SequentialLR::undo() {
  for (const auto& schedule : schedulers_) schedule->undo();
}

void SequentialLR::step() {
  ++last_epoch_;
  const auto after = std::upper_bound(milestones_.begin(), milestones_.end(), last_epoch_);
  const auto index = static_cast<std::size_t>(after - milestones_.begin());
  LRScheduler& schedule = *schedulers_[index];
  if (index > 0 && milestones_[index - 1] == last_epoch_) {
    schedule.update(0);
  } else {
    schedule.step();
  }
  last_lr_ = schedule.get_last_lr();
}

std::vector<double> SequentialLR::get_lr() {
  return current();
}

void SequentialLR::fields(detail::ScheduleFields& fields) {
  fields("_milestones", milestones_);
  fields("last_epoch", last_epoch_);
  fields("_last_lr", last_lr_);
  if (!base_lrs_.empty()) {  // it is the first schedule of another one, which has begun it anew
    fields.constant("_step_count", 0);
    fields.constant("_is_initial", false);
  }
  fields.nested("_schedulers", schedulers_);
}

CosineAnnealingWarmRestarts::CosineAnnealingWarmRestarts(Optimizer& optimizer,
                                                         CosineAnnealingWarmRestartsOptions options)
    : LRScheduler(optimizer), options_(options), t_i_(options.T_0) {
  TORCH_CHECK_VALUE(options.T_0 >= 1, "CosineAnnealingWarmRestarts: expected T_0 >= 1, got ",
                    options.T_0);
  TORCH_CHECK_VALUE(options.T_mult >= 1, "CosineAnnealingWarmRestarts: expected T_mult >= 1, got ",
                    options.T_mult);
  CosineAnnealingWarmRestarts::first_step();
}

void CosineAnnealingWarmRestarts::step() {
  if (last_epoch_ < 0) {
    last_epoch_ = 0;
    t_i_ = options_.T_0;
    t_cur_ = 0;
  } else {
    ++last_epoch_;
    t_cur_ += 1;
    const auto length = static_cast<double>(t_i_);
    if (t_cur_ >= length) {
      t_cur_ = std::fmod(t_cur_, length);
      // Nobody lives to see the end of what has no number.
      if (t_i_ <= std::numeric_limits<int64_t>::max() / options_.T_mult) t_i_ *= options_.T_mult;
    }
  }
  set(get_lr());
}

std::vector<double> CosineAnnealingWarmRestarts::get_lr() {
  const double cosine = std::cos(kHalfTurn * t_cur_ / static_cast<double>(t_i_));
  std::vector<double> result = base_lrs_;
  for (double& lr : result) {
    lr = options_.eta_min + (lr - options_.eta_min) * (1 + cosine) / 2;
  }
  return result;
}

void CosineAnnealingWarmRestarts::fields(detail::ScheduleFields& fields) {
  fields("T_0", options_.T_0, 1);
  fields("T_i", t_i_, 1);
  fields("T_mult", options_.T_mult, 1);
  fields("eta_min", options_.eta_min);
  fields("T_cur", t_cur_);
  LRScheduler::fields(fields);
}

}  // namespace convkit::optim

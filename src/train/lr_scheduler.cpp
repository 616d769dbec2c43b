#include <convkit/lr_scheduler.h>

#include "train/schedule_fields.h"

#include <algorithm>
#include <cmath>

namespace convkit::optim {
namespace {

constexpr double kPi = 3.141592653589793;

void check_positive(const char* schedule, const char* name, int64_t value) {
  TORCH_CHECK_VALUE(value >= 1, schedule, ": expected ", name, " >= 1, got ", value);
}

}  // namespace

Schedule::~Schedule() = default;

Tree Schedule::state_dict() const {
  Tree result = Tree::dict();
  detail::ScheduleFields write(detail::ScheduleFields::Mode::kWrite, result, result);
  // A mode that only reads the fields.
  const_cast<Schedule*>(this)->fields(write);  // NOLINT
  return result;
}

void Schedule::load_state_dict(const Tree& state) {
  Tree nothing = Tree::dict();
  detail::ScheduleFields check(detail::ScheduleFields::Mode::kCheck, nothing, state);
  fields(check);
  detail::ScheduleFields take(detail::ScheduleFields::Mode::kTake, nothing, state);
  fields(take);
}

std::vector<double> Schedule::current() const {
  std::vector<double> result;
  for (std::size_t group = 0; group < optimizer_->groups(); ++group) {
    result.push_back(optimizer_->lr(group));
  }
  return result;
}

void Schedule::set(const std::vector<double>& lrs) {
  TORCH_CHECK(lrs.size() == optimizer_->groups(), "LRScheduler: expected ", lrs.size(),
              " groups of parameters, as there were at first, got ", optimizer_->groups());
  for (std::size_t group = 0; group < lrs.size(); ++group) optimizer_->set_lr(group, lrs[group]);
  last_lr_ = lrs;
}

LRScheduler::LRScheduler(Optimizer& optimizer) : Schedule(optimizer) {}

void LRScheduler::first_step() {
  if (base_lrs_.empty()) {
    for (std::size_t group = 0; group < optimizer_->groups(); ++group) {
      auto& notes = optimizer_->notes(group);
      base_lrs_.push_back(notes.emplace("initial_lr", optimizer_->lr(group)).first->second);
    }
  }
  step_count_ = 0;
  is_initial_ = true;
  step();
  is_initial_ = false;
}

void LRScheduler::step() {
  check_step();
  ++step_count_;
  update(std::nullopt);
}

void LRScheduler::update(std::optional<int64_t> epoch) {
  last_epoch_ = epoch.value_or(last_epoch_ + 1);
  set(epoch ? closed_form() : get_lr());
}

std::vector<double> LRScheduler::times(double factor) const {
  std::vector<double> result = current();
  for (double& lr : result) lr = lr * factor;
  return result;
}

std::vector<double> LRScheduler::base_times(double factor) const {
  std::vector<double> result = base_lrs_;
  for (double& lr : result) lr = lr * factor;
  return result;
}

void LRScheduler::fields(detail::ScheduleFields& fields) {
  fields("base_lrs", base_lrs_);
  fields("last_epoch", last_epoch_);
  fields("_step_count", step_count_);
  fields("_last_lr", last_lr_);
  fields.constant("_is_initial", false);
  fields.constant("_get_lr_called_within_step", false);
}

StepLR::StepLR(Optimizer& optimizer, StepLROptions options)
    : LRScheduler(optimizer), options_(options) {
  check_positive("StepLR", "step_size", options.step_size);
  StepLR::first_step();
}

std::vector<double> StepLR::get_lr() {
  if (last_epoch_ == 0 || last_epoch_ % options_.step_size != 0) return current();
  return times(options_.gamma);
}

std::vector<double> StepLR::closed_form() {
  const auto steps = static_cast<double>(last_epoch_ / options_.step_size);
  return base_times(std::pow(options_.gamma, steps));
}

void StepLR::fields(detail::ScheduleFields& fields) {
  fields("step_size", options_.step_size, 1);
  fields("gamma", options_.gamma);
  LRScheduler::fields(fields);
}

MultiStepLR::MultiStepLR(Optimizer& optimizer, const MultiStepLROptions& options)
    : LRScheduler(optimizer), gamma_(options.gamma) {
  for (const int64_t milestone : options.milestones) ++milestones_[milestone];
  MultiStepLR::first_step();
}

std::vector<double> MultiStepLR::get_lr() {
  const auto milestone = milestones_.find(last_epoch_);
  if (milestone == milestones_.end()) return current();
  return times(std::pow(gamma_, static_cast<double>(milestone->second)));
}

std::vector<double> MultiStepLR::closed_form() {
  int64_t passed = 0;
  for (const auto& [milestone, count] : milestones_) passed += milestone <= last_epoch_ ? count : 0;
  return base_times(std::pow(gamma_, static_cast<double>(passed)));
}

void MultiStepLR::fields(detail::ScheduleFields& fields) {
  fields.exchange(
      "milestones", milestones_,
      [](const std::map<int64_t, int64_t>& milestones) {
        Tree counter = Tree::counter();
        for (const auto& [milestone, count] : milestones) counter.set(milestone, count);
        return counter;
      },
      [](const Tree& tree) {
        std::map<int64_t, int64_t> milestones;
        for (const Tree::Entry& entry : tree.entries()) {
          const auto* milestone = std::get_if<int64_t>(&entry.key);
          TORCH_CHECK_VALUE(milestone != nullptr,
                            "MultiStepLR: expected whole numbers as milestones, got a text");
          milestones[*milestone] = entry.value.integer();
        }
        return milestones;
      });
  fields("gamma", gamma_);
  LRScheduler::fields(fields);
}

ConstantLR::ConstantLR(Optimizer& optimizer, ConstantLROptions options)
    : LRScheduler(optimizer), options_(options) {
  TORCH_CHECK_VALUE(options.factor > 0 && options.factor <= 1,
                    "ConstantLR: expected a factor above 0 and at most 1, got ", options.factor);
  ConstantLR::first_step();
}

std::vector<double> ConstantLR::get_lr() {
  if (last_epoch_ == 0) return times(options_.factor);
  return last_epoch_ == options_.total_iters ? times(1.0 / options_.factor) : current();
}

std::vector<double> ConstantLR::closed_form() {
  const double ended = last_epoch_ >= options_.total_iters ? 1 : 0;
  return base_times(options_.factor + ended * (1 - options_.factor));
}

void ConstantLR::fields(detail::ScheduleFields& fields) {
  fields("factor", options_.factor);
  fields("total_iters", options_.total_iters);
  LRScheduler::fields(fields);
}

LinearLR::LinearLR(Optimizer& optimizer, LinearLROptions options)
    : LRScheduler(optimizer), options_(options) {
  TORCH_CHECK_VALUE(options.start_factor > 0 && options.start_factor <= 1,
                    "LinearLR: expected a start_factor above 0 and at most 1, got ",
                    options.start_factor);
  TORCH_CHECK_VALUE(options.end_factor >= 0 && options.end_factor <= 1,
                    "LinearLR: expected an end_factor from 0 to 1, got ", options.end_factor);
  LinearLR::first_step();
}

std::vector<double> LinearLR::get_lr() {
  if (last_epoch_ == 0) return times(options_.start_factor);
  if (is_initial_ || last_epoch_ > options_.total_iters) return current();
  const double difference = options_.end_factor - options_.start_factor;
  const double so_far = static_cast<double>(options_.total_iters) * options_.start_factor +
                        static_cast<double>(last_epoch_ - 1) * difference;
  return times(1.0 + difference / so_far);
}

std::vector<double> LinearLR::closed_form() {
  const auto epoch = static_cast<double>(std::min(options_.total_iters, last_epoch_));
  return base_times(options_.start_factor + (options_.end_factor - options_.start_factor) * epoch /
                                                static_cast<double>(options_.total_iters));
}

void LinearLR::fields(detail::ScheduleFields& fields) {
  fields("start_factor", options_.start_factor);
  fields("end_factor", options_.end_factor);
  fields("total_iters", options_.total_iters);
  LRScheduler::fields(fields);
}

ExponentialLR::ExponentialLR(Optimizer& optimizer, ExponentialLROptions options)
    : LRScheduler(optimizer), options_(options) {
  ExponentialLR::first_step();
}

std::vector<double> ExponentialLR::get_lr() {
  return is_initial_ ? current() : times(options_.gamma);
}

std::vector<double> ExponentialLR::closed_form() {
  return base_times(std::pow(options_.gamma, static_cast<double>(last_epoch_)));
}

void ExponentialLR::fields(detail::ScheduleFields& fields) {
  fields("gamma", options_.gamma);
  LRScheduler::fields(fields);
}

PolynomialLR::PolynomialLR(Optimizer& optimizer, PolynomialLROptions options)
    : LRScheduler(optimizer), options_(options) {
  check_positive("PolynomialLR", "total_iters", options.total_iters);
  PolynomialLR::first_step();
}

std::vector<double> PolynomialLR::get_lr() {
  if (is_initial_ || last_epoch_ > options_.total_iters) return current();
  const auto total = static_cast<double>(options_.total_iters);
  const auto epoch = static_cast<double>(last_epoch_);
  return times(std::pow((1.0 - epoch / total) / (1.0 - (epoch - 1) / total), options_.power));
}

std::vector<double> PolynomialLR::closed_form() {
  const auto total = static_cast<double>(options_.total_iters);
  const double epoch = std::min(total, static_cast<double>(last_epoch_));
  return base_times(std::pow(1.0 - epoch / total, options_.power));
}

void PolynomialLR::fields(detail::ScheduleFields& fields) {
  fields("total_iters", options_.total_iters, 1);
  fields("power", options_.power);
  LRScheduler::fields(fields);
}

CosineAnnealingLR::CosineAnnealingLR(Optimizer& optimizer, CosineAnnealingLROptions options)
    : LRScheduler(optimizer), options_(options) {
  check_positive("CosineAnnealingLR", "T_max", options.T_max);
  CosineAnnealingLR::first_step();
}

std::vector<double> CosineAnnealingLR::get_lr() {
  if (is_initial_) return current();
  if (step_count_ == 1 && last_epoch_ > 0) return closed_form();
  const auto t_max = static_cast<double>(options_.T_max);
  const auto epoch = static_cast<double>(last_epoch_);
  std::vector<double> result = current();
  if ((last_epoch_ - 1 - options_.T_max) % (2 * options_.T_max) == 0) {
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i] += (base_lrs_.at(i) - options_.eta_min) * (1 - std::cos(kPi / t_max)) / 2;
    }
    return result;
  }
  const double factor =
      (1 + std::cos(kPi * epoch / t_max)) / (1 + std::cos(kPi * (epoch - 1) / t_max));
  for (double& lr : result) lr = factor * (lr - options_.eta_min) + options_.eta_min;
  return result;
}

std::vector<double> CosineAnnealingLR::closed_form() {
  const double cosine =
      std::cos(kPi * static_cast<double>(last_epoch_) / static_cast<double>(options_.T_max));
  std::vector<double> result = base_lrs_;
  for (double& lr : result) {
    lr = options_.eta_min + (lr - options_.eta_min) * (1 + cosine) / 2;
  }
  return result;
}

void CosineAnnealingLR::fields(detail::ScheduleFields& fields) {
  fields("T_max", options_.T_max, 1);
  fields("eta_min", options_.eta_min);
  LRScheduler::fields(fields);
}

}  // namespace convkit::optim

#include <convkit/lr_policies.h>

#include "train/schedule_fields.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace convkit::optim {
namespace {

double note(Optimizer& optimizer, std::size_t group, const char* name) {
  const auto& notes = optimizer.notes(group);
  const auto found = notes.find(name);
  TORCH_CHECK(
      found != notes.end(), "OneCycleLR: expected ", name,
      " in the optimizer's group, got none: load the optimizer's state with the schedule's");
  return found->second;
}

}  // namespace

std::vector<double> PerGroup::of(const Optimizer& optimizer, const char* what) const {
  if (!each_) return std::vector<double>(optimizer.groups(), values_[0]);
  TORCH_CHECK_VALUE(values_.size() == optimizer.groups(), what, " for each of ", optimizer.groups(),
                    " groups, got ", values_.size());
  return values_;
}

OneCycleLR::OneCycleLR(Optimizer& optimizer, const OneCycleLROptions& options)
    : LRScheduler(optimizer),
      total_steps_(options.total_steps),
      anneal_strategy_(options.anneal_strategy),
      cycle_momentum_(options.cycle_momentum) {
  TORCH_CHECK_VALUE(total_steps_ >= 1, "OneCycleLR: expected total_steps >= 1, got ", total_steps_);
  TORCH_CHECK_VALUE(options.pct_start >= 0 && options.pct_start <= 1,
                    "OneCycleLR: expected pct_start from 0 to 1, got ", options.pct_start);
  TORCH_CHECK_VALUE(anneal_strategy_ == "cos" || anneal_strategy_ == "linear",
                    "OneCycleLR: expected the anneal_strategy \"cos\" or \"linear\", got \"",
                    anneal_strategy_, "\"");
  TORCH_CHECK_VALUE(!cycle_momentum_ || optimizer.momentum().has_value(),
                    "OneCycleLR: expected an optimizer with a momentum or betas, or "
                    "cycle_momentum = false");
  const auto total = static_cast<double>(total_steps_);
  phases_.push_back(
      {options.pct_start * total - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum"});
  if (options.three_phase) {
    phases_.push_back({2 * options.pct_start * total - 2, "max_lr", "initial_lr", "base_momentum",
                       "max_momentum"});
    phases_.push_back({total - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"});
  } else {
    phases_.push_back({total - 1, "max_lr", "min_lr", "base_momentum", "max_momentum"});
  }
  double start = 0;
  for (const Phase& phase : phases_) {
    TORCH_CHECK_VALUE(phase.end_step != start,
                      "OneCycleLR: expected phases of some length, got one of none by pct_start = ",
                      options.pct_start, " of ", total_steps_, " steps");
    start = phase.end_step;
  }
  const auto max_lrs = options.max_lr.of(optimizer, "OneCycleLR: expected a max_lr");
  const auto max_momentums =
      options.max_momentum.of(optimizer, "OneCycleLR: expected a max_momentum");
  const auto base_momentums =
      options.base_momentum.of(optimizer, "OneCycleLR: expected a base_momentum");
  use_beta1_ = cycle_momentum_ && optimizer.has_betas();
  for (std::size_t group = 0; group < optimizer.groups(); ++group) {
    auto& notes = optimizer.notes(group);
    notes["initial_lr"] = max_lrs[group] / options.div_factor;
    notes["max_lr"] = max_lrs[group];
    notes["min_lr"] = notes["initial_lr"] / options.final_div_factor;
    if (!cycle_momentum_) continue;
    optimizer.set_momentum(group, max_momentums[group]);
    notes["max_momentum"] = max_momentums[group];
    notes["base_momentum"] = base_momentums[group];
  }
  OneCycleLR::first_step();
}

double OneCycleLR::anneal(double start, double end, double part) const {
  if (anneal_strategy_ == "linear") return (end - start) * part + start;
  return end + (start - end) / 2.0 * (std::cos(3.141592653589793 * part) + 1);
}

void OneCycleLR::check_step() const {
  TORCH_CHECK(last_epoch_ < total_steps_, "OneCycleLR: expected at most ", total_steps_,
              " steps, got one more");
}

std::vector<double> OneCycleLR::get_lr() {
  const auto step = static_cast<double>(last_epoch_);
  double start = 0;
  std::size_t index = 0;
  for (; index + 1 < phases_.size() && step > phases_[index].end_step; ++index) {
    start = phases_[index].end_step;
  }
  const Phase& phase = phases_[index];
  const double part = (step - start) / (phase.end_step - start);
  std::vector<double> result;
  for (std::size_t group = 0; group < optimizer_->groups(); ++group) {
    const auto of = [&](const char* name) { return note(*optimizer_, group, name); };
    result.push_back(anneal(of(phase.start_lr), of(phase.end_lr), part));
    if (!cycle_momentum_) continue;
    optimizer_->set_momentum(group, anneal(of(phase.start_momentum), of(phase.end_momentum), part));
  }
  return result;
}

void OneCycleLR::fields(detail::ScheduleFields& fields) {
  fields("total_steps", total_steps_, 1);
  fields.exchange(
      "_schedule_phases", phases_,
      [](const std::vector<Phase>& phases) {
        Tree list = Tree::list();
        for (const Phase& phase : phases) {
          Tree dict = Tree::dict();
          dict.set("end_step", phase.end_step);
          dict.set("start_lr", phase.start_lr);
          dict.set("end_lr", phase.end_lr);
          dict.set("start_momentum", phase.start_momentum);
          dict.set("end_momentum", phase.end_momentum);
          list.add(dict);
        }
        return list;
      },
      [](const Tree& tree) {
        constexpr std::array kKnown = {"initial_lr", "max_lr", "min_lr", "max_momentum",
                                       "base_momentum"};
        const auto known = [&](const Tree& name) {
          for (const char* one : kKnown) {
            if (name.text() == one) return one;
          }
          TORCH_CHECK_VALUE(false, "OneCycleLR: expected the name of a rate or momentum, got \"",
                            name.text(), "\"");
        };
        std::vector<Phase> phases;
        for (const Tree& dict : tree.items()) {
          phases.push_back({dict.at("end_step").number(), known(dict.at("start_lr")),
                            known(dict.at("end_lr")), known(dict.at("start_momentum")),
                            known(dict.at("end_momentum"))});
        }
        TORCH_CHECK_VALUE(!phases.empty(), "OneCycleLR: expected phases, got none");
        return phases;
      });
  fields("_anneal_func_type", anneal_strategy_);
  fields("cycle_momentum", cycle_momentum_);
  if (cycle_momentum_ && fields.writes()) fields("use_beta1", use_beta1_);
  LRScheduler::fields(fields);
}

ReduceLROnPlateau::ReduceLROnPlateau(Optimizer& optimizer, const ReduceLROnPlateauOptions& options)
    : Schedule(optimizer),
      options_(options),
      min_lrs_(options.min_lr.of(optimizer, "ReduceLROnPlateau: expected a min_lr")),
      best_(options.mode == "min" ? std::numeric_limits<double>::infinity()
                                  : -std::numeric_limits<double>::infinity()) {
  TORCH_CHECK_VALUE(options.factor < 1, "ReduceLROnPlateau: expected factor < 1, got ",
                    options.factor);
  TORCH_CHECK_VALUE(options.mode == "min" || options.mode == "max",
                    "ReduceLROnPlateau: expected the mode \"min\" or \"max\", got \"", options.mode,
                    "\"");
  TORCH_CHECK_VALUE(options.threshold_mode == "rel" || options.threshold_mode == "abs",
                    "ReduceLROnPlateau: expected the threshold_mode \"rel\" or \"abs\", got \"",
                    options.threshold_mode, "\"");
  last_epoch_ = 0;
  last_lr_ = current();
}

bool ReduceLROnPlateau::is_better(double metric) const {
  const double threshold = options_.threshold;
  if (options_.threshold_mode == "rel") {
    return options_.mode == "min" ? metric < best_ * (1.0 - threshold)
                                  : metric > best_ * (threshold + 1.0);
  }
  return options_.mode == "min" ? metric < best_ - threshold : metric > best_ + threshold;
}

void ReduceLROnPlateau::step(double metric) {
  TORCH_CHECK(min_lrs_.size() == optimizer_->groups(), "ReduceLROnPlateau: expected ",
              min_lrs_.size(), " groups of parameters, as there were at first, got ",
              optimizer_->groups());
  ++last_epoch_;
  if (is_better(metric)) {
    best_ = metric;
    num_bad_epochs_ = 0;
  } else {
    ++num_bad_epochs_;
  }
  if (cooldown_counter_ > 0) {
    --cooldown_counter_;
    num_bad_epochs_ = 0;
  }
  if (num_bad_epochs_ > options_.patience) {
    std::vector<double> lrs = current();
    for (std::size_t group = 0; group < lrs.size(); ++group) {
      const double lower = std::max(lrs[group] * options_.factor, min_lrs_[group]);
      if (lrs[group] - lower > options_.eps) lrs[group] = lower;
    }
    set(lrs);
    cooldown_counter_ = options_.cooldown;
    num_bad_epochs_ = 0;
  }
  last_lr_ = current();
}

void ReduceLROnPlateau::fields(detail::ScheduleFields& fields) {
  fields("factor", options_.factor);
  fields("min_lrs", min_lrs_);
  fields("patience", options_.patience);
  fields("cooldown", options_.cooldown);
  fields("eps", options_.eps);
  fields("last_epoch", last_epoch_);
  fields("_last_lr", last_lr_);
  fields("mode", options_.mode);
  fields("threshold", options_.threshold);
  fields("threshold_mode", options_.threshold_mode);
  fields("best", best_);
  fields("cooldown_counter", cooldown_counter_);
  fields("num_bad_epochs", num_bad_epochs_);
  const bool same = std::equal(min_lrs_.begin() + 1, min_lrs_.end(), min_lrs_.begin());
  fields.constant("default_min_lr", same ? Tree(min_lrs_[0]) : Tree());
  const double infinity = std::numeric_limits<double>::infinity();
  fields.constant("mode_worse", options_.mode == "min" ? infinity : -infinity);
}

}  // namespace convkit::optim

#include "compile/random_statistics.h"

#include <algorithm>
#include <iomanip>
#include <utility>

namespace support {

namespace {

bool has_weights(const convkit::StepExplanation& step) {
  return step.what.starts_with("conv") || step.what.starts_with("linear");
}

bool is_refusal(const std::string& key) {
  return key.find("refused: ") != std::string::npos;
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

void RandomStatistics::add_module(const RandomModule& module) {
  ++modules_;
  for (const RandomStep& step : module.steps()) ++steps_[step.name];
}

void RandomStatistics::add_plans(bool onednn, const std::vector<convkit::PlanExplanation>& plans) {
  for (const convkit::PlanExplanation& plan : plans) {
    ++(onednn ? engines_ : others_)[plan.engine];
    for (const std::string& remark : plan.remarks) {
      if (onednn) ++remarks_[without_numbers(remark)];
    }
    for (const convkit::StepExplanation& step : plan.steps) {
      if (!onednn) {
        ++operators_[step.what.substr(0, step.what.find(' '))];
        for (const std::string& fused : step.fused) ++operators_[fused];
      }
      if (!onednn || !has_weights(step)) continue;
      macs_ += step.macs;
      if (step.by == "oneDNN") {
        onednn_macs_ += step.macs;
      } else {
        const std::string by = plan.engine.starts_with("oneDNN") ? step.how : plan.engine;
        by_libtorch_[step.what + ": " + by] += step.macs;
      }
    }
  }
}

void RandomStatistics::add_example(const std::string& operators, const std::string& text) {
  auto& [count, smallest] = examples_[operators];
  if (count++ == 0 || text.size() < smallest.size()) smallest = text;
}

int64_t RandomStatistics::refused() const {
  int64_t count = 0;
  for (const auto& [key, times] : failures_) {
    if (is_refusal(key)) count += times;
  }
  return count;
}

int64_t RandomStatistics::wrong() const {
  int64_t count = 0;
  for (const auto& [key, times] : failures_) {
    const bool slow = key.find("falls back: ") != std::string::npos;
    if (!is_refusal(key) && !slow) count += times;
  }
  return count;
}

double RandomStatistics::share_without_onednn() const {
  int64_t all = 0;
  int64_t without = 0;
  for (const auto& [engine, times] : engines_) {
    all += times;
    if (!engine.starts_with("oneDNN")) without += times;
  }
  return share(without, all);
}

double RandomStatistics::share_of_macs() const {
  return share(onednn_macs_, macs_);
}

void RandomStatistics::write(std::ostream& to, const std::string& title, const Counts& counts) {
  std::vector<std::pair<int64_t, std::string>> rows;
  for (const auto& [name, times] : counts) rows.emplace_back(times, name);
  std::sort(rows.rbegin(), rows.rend());
  to << title << " (" << rows.size() << ")\n";
  for (const auto& [times, name] : rows) to << std::setw(12) << times << "  " << name << '\n';
}

void RandomStatistics::write(std::ostream& to) const {
  to << "modules: " << modules_ << '\n';
  to << "refused: " << refused() << '\n';
  to << "plans without oneDNN: " << 100 * share_without_onednn() << " %\n";
  to << "multiplications of convolutions and linear layers by oneDNN: " << 100 * share_of_macs()
     << " %\n";
  write(to, "steps of modules", steps_);
  write(to, "operators of plans", operators_);
  write(to, "engines", engines_);
  write(to, "engines without oneDNN", others_);
  write(to, "remarks", remarks_);
  write(to, "multiplications not by oneDNN", by_libtorch_);
  write(to, "failures", failures_);
  for (const auto& [operators, example] : examples_) {
    to << "\n" << example.first << " times " << operators << '\n' << example.second << '\n';
  }
}

}  // namespace support

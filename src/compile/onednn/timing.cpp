#include "compile/onednn/timing.h"

#include "compile/onednn/choice.h"
#include "compile/onednn/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

namespace convkit::detail {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// What was measured in this process.
class TimedChoices {
 public:
  /// Geometry, what is fused and the largest tile, layout of the input, type, number of threads, instructions.
  using Key = std::tuple<std::string, bool, torch::Dtype, int, int>;

  static TimedChoices& of_process() {
    static TimedChoices choices;
    return choices;
  }

  std::optional<Alternative> find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto known = choices_.find(key);
    return known == choices_.end() ? std::nullopt : std::optional(known->second);
  }

  /// Keeps the first choice, if two threads make one.
  Alternative keep(const Key& key, Alternative choice) {
    const std::lock_guard lock(mutex_);
    // Shapes come from outside: a program that runs for ever does not collect them for ever.
    constexpr std::size_t most = 4096;
    if (choices_.size() >= most) choices_.clear();
    return choices_.emplace(key, choice).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<Key, Alternative> choices_;
};

/// A plan of one convolution, whose inputs lie as they do in the plan that it is a part of.
struct Trial {
  Graph graph;
  Tensors inputs;
};

Trial trial_of(Lowering& lowering, const Convolution& convolution) {
  Trial trial;
  Convolution c = convolution;
  const auto add_input = [&](int64_t& id) {
    const Sizes& sizes = lowering.sizes(id);
    Sizes strides = channels_last_strides(sizes);
    if (lowering.memory().slot(id).dtype == torch::kFloat32) {
      strides = dense_or_rows(sizes, lowering.memory().slot(id).strides);
    }
    // Of ones: numbers that are as quick as others. Sums of zeros could be quicker.
    trial.inputs.push_back(at::empty_strided(sizes, strides, torch::kFloat32).fill_(1));
    id = trial.graph.new_value(sizes, torch::kFloat32);
    trial.graph.value(id).kind = Value::Kind::kInput;
    trial.graph.value(id).strides = strides;
    ++trial.graph.input_count;
  };
  const Sizes& output = lowering.sizes(c.output);
  add_input(c.input);
  if (c.added >= 0) add_input(c.added);
  c.output = trial.graph.new_value(output, torch::kFloat32);
  if (c.activation) {
    c.activation->arguments.at(0).values = {c.output};
    c.activation->outputs = {c.output};
  }
  trial.graph.outputs = {c.output};
  trial.graph.steps.emplace_back(std::move(c));
  return trial;
}

/// To lay out more weights for each alternative would take too long.
constexpr int64_t kMostWeights = 4'000'000;

constexpr double kNever = std::numeric_limits<double>::infinity();

/// One alternative, ready to run; without an engine where oneDNN has no kernel of its own for it.
struct TimedAlternative {
  Alternative alternative = Alternative::kChannelsLast;
  std::unique_ptr<Engine> engine;
  double seconds = kNever;  ///< the least of its runs

  double run(const Tensors& inputs) {
    const Clock::time_point begin = Clock::now();
    engine->run(inputs);
    return seconds_since(begin);
  }
};

TimedAlternative timed_alternative_of(const Trial& trial, const EngineOptions& options,
                                      const std::string& key, Alternative alternative) {
  EngineOptions forced = options;
  forced.timing = false;
  forced.choices = {{key, name_of(alternative)}};
  forced.memory_format = torch::MemoryFormat::ChannelsLast;
  TimedAlternative result{alternative, nullptr, kNever};
  try {
    result.engine = make_onednn_engine(trial.graph, trial.inputs, forced);
  } catch (const c10::Error&) {
    return result;
  }
  PlanExplanation plan;
  result.engine->explain(plan);
  const auto has = [&](const auto& of) {
    return std::any_of(plan.steps.begin(), plan.steps.end(), of);
  };
  const bool by_torch = has([](const auto& step) { return step.by == "LibTorch"; });
  const bool blocked =
      has([](const auto& step) { return step.how.find(", blocked") != std::string::npos; });
  // oneDNN may have no kernel for it, or the same one as for channels_last.
  const bool none = by_torch != (alternative == Alternative::kLibTorch) ||
                    (alternative == Alternative::kBlocked && !blocked);
  if (none) result.engine.reset();
  return result;
}

/// Runs it a few times after one run that warms up. It gives up where that takes far longer than `known`.
void time(TimedAlternative& candidate, const Tensors& inputs, double known) {
  if (!candidate.engine || candidate.run(inputs) > 4 * known) return;
  const Clock::time_point begin = Clock::now();
  for (int run = 0; run < 2 || (run < 8 && seconds_since(begin) < 0.003); ++run) {
    candidate.seconds = std::min(candidate.seconds, candidate.run(inputs));
  }
}

/// Whether one takes less than 95 % of the other's time, also when their runs alternate: what else the
/// processor does meanwhile then costs both.
bool is_faster(TimedAlternative& one, TimedAlternative& other, const Tensors& inputs) {
  if (one.seconds >= 0.95 * other.seconds) return false;
  if (!other.engine) return true;
  for (TimedAlternative* candidate : {&one, &other}) candidate->seconds = kNever;
  for (int run = 0; run < 3; ++run) {
    for (TimedAlternative* candidate : {&one, &other}) {
      candidate->seconds = std::min(candidate->seconds, candidate->run(inputs));
    }
  }
  return one.seconds < 0.95 * other.seconds;
}

}  // namespace

Alternative fastest(Lowering& lowering, const Convolution& c, const Geometry& geometry,
                    Alternative rule, const std::vector<Alternative>& rivals) {
  const std::string key = geometry.key();
  const Sizes& sizes = lowering.sizes(c.input);
  const bool channels_last =
      same_layout(sizes, lowering.memory().slot(c.input).strides, channels_last_strides(sizes));
  const int64_t largest = largest_tile(lowering.options(), geometry);
  const TimedChoices::Key place{c10::str(key, describe(Step(c)), largest), channels_last,
                                lowering.memory().dtype(), lowering.threads(),
                                static_cast<int>(dnnl::get_effective_cpu_isa())};
  if (const auto known = TimedChoices::of_process().find(place)) return *known;
  double& left = lowering.seconds_for_timing();
  if (left <= 0 || c.weight.numel() > kMostWeights) return rule;
  const Clock::time_point begin = Clock::now();
  const double end = left;
  const Trial trial = trial_of(lowering, c);
  TimedAlternative best = timed_alternative_of(trial, lowering.options(), key, rule);
  time(best, trial.inputs, kNever);
  // The first run of another one may take ten times as long.
  const double for_each = best.engine ? 10 * best.seconds : 0;
  bool all = true;
  for (const Alternative other : rivals) {
    left = end - seconds_since(begin);
    all = all && left > for_each;
    if (!all) break;
    TimedAlternative next = timed_alternative_of(trial, lowering.options(), key, other);
    time(next, trial.inputs, best.seconds);
    if (is_faster(next, best, trial.inputs)) best = std::move(next);
  }
  left = end - seconds_since(begin);
  return all ? TimedChoices::of_process().keep(place, best.alternative) : best.alternative;
}

}  // namespace convkit::detail

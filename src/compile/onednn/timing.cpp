#include "compile/onednn/timing.h"

#include "compile/onednn/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

namespace convkit::detail {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// What was measured in this process.
class TimedChoices {
 public:
  /// Geometry, layout of the input, type, number of threads, instructions.
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

constexpr double kNever = std::numeric_limits<double>::infinity();

/// The least of a few runs after one that warms up. It gives up, with infinity, where oneDNN cannot run it,
/// and where the first run takes far longer than `known`.
double seconds_of(const Trial& trial, const EngineOptions& options, const std::string& key,
                  Alternative alternative, double known) {
  EngineOptions forced = options;
  forced.timing = false;
  forced.choices = {{key, name_of(alternative)}};
  forced.memory_format = torch::MemoryFormat::ChannelsLast;
  try {
    const auto engine = make_onednn_engine(trial.graph, trial.inputs, forced);
    const Clock::time_point first = Clock::now();
    engine->run(trial.inputs);
    if (seconds_since(first) > 4 * known) return kNever;
    PlanExplanation plan;
    engine->explain(plan);
    const bool by_torch = std::any_of(plan.steps.begin(), plan.steps.end(),
                                      [](const auto& step) { return step.by == "LibTorch"; });
    if (by_torch != (alternative == Alternative::kLibTorch)) return kNever;
    double least = kNever;
    const Clock::time_point begin = Clock::now();
    for (int run = 0; run < 2 || (run < 8 && seconds_since(begin) < 0.005); ++run) {
      const Clock::time_point start = Clock::now();
      engine->run(trial.inputs);
      least = std::min(least, seconds_since(start));
    }
    return least;
  } catch (const c10::Error&) {
    return kNever;
  }
}

}  // namespace

Alternative fastest(Lowering& lowering, const Convolution& c, const Geometry& geometry,
                    Alternative rule) {
  const std::string key = geometry.key();
  const Sizes& sizes = lowering.sizes(c.input);
  const bool channels_last =
      same_layout(sizes, lowering.memory().slot(c.input).strides, channels_last_strides(sizes));
  const TimedChoices::Key place{key, channels_last, lowering.memory().dtype(), lowering.threads(),
                                static_cast<int>(dnnl::get_effective_cpu_isa())};
  if (const auto known = TimedChoices::of_process().find(place)) return *known;
  if (lowering.seconds_for_timing() <= 0) return rule;
  const Clock::time_point begin = Clock::now();
  const double end = lowering.seconds_for_timing();
  const Trial trial = trial_of(lowering, c);
  const double by_rule = seconds_of(trial, lowering.options(), key, rule, kNever);
  Alternative best = rule;
  double least = by_rule;
  bool all = true;
  for (const Alternative other : alternatives_of(geometry)) {
    if (other == rule) continue;
    // The first run of another one may take ten times as long as the rule's.
    all = all && end - seconds_since(begin) > (by_rule == kNever ? 0 : 10 * by_rule);
    if (!all) break;
    const double seconds = seconds_of(trial, lowering.options(), key, other, by_rule);
    if (seconds < std::min(least, 0.95 * by_rule)) {
      best = other;
      least = seconds;
    }
  }
  lowering.seconds_for_timing() = end - seconds_since(begin);
  return all ? TimedChoices::of_process().keep(place, best) : best;
}

}  // namespace convkit::detail

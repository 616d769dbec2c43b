#include "compile/compile_support.h"
#include "compile/random_check.h"
#include "compile/random_module.h"
#include "compile/random_statistics.h"

#include <torch/nn/modules/conv.h>

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>

namespace {

using support::RandomCheck;
using support::RandomFailure;
using support::RandomModule;
using support::RandomStatistics;

/// A number from the environment.
int64_t chosen(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

bool is_long_run() {
  return std::getenv("CONVKIT_MODULES") != nullptr;
}

/// The operators of a module that was made smaller.
std::string operators_of(const RandomModule& module) {
  std::string text;
  for (const support::RandomStep& step : module.steps()) {
    if (step.state == support::RandomStep::State::kRuns) text += step.name + "; ";
  }
  return text;
}

/// Reports what a module did wrong, as small as it gets.
void report(uint32_t seed, const std::shared_ptr<RandomModule>& module, bool onednn,
            const RandomFailure& failure, RandomStatistics& statistics) {
  RandomCheck::shrink(module, onednn, failure);
  const auto now = RandomCheck(module, failure.call).fails(onednn);
  const std::string engine = onednn ? "oneDNN" : "LibTorch";
  const std::string text = c10::str(
      "seed ", seed, ", ", engine, ", ", failure.kind, " in the call ", failure.call, ": ",
      failure.message, "\nThe smallest module that fails so: ", now ? now->message : std::string(),
      '\n', module->text());
  statistics.add_example(engine + ": " + failure.key() + ": " + operators_of(*module), text);
  if (is_long_run()) return;
  if (failure.kind == "refused" || failure.kind == "falls back") {  // a few may be
    UNSCOPED_INFO(text);
  } else {
    FAIL_CHECK(text);
  }
}

/// Compiles one module by both engines, and makes those smaller that fail.
void check_module(uint32_t seed, RandomStatistics& statistics,
                  std::map<std::string, int64_t>& shown) {
  const auto steps = static_cast<std::size_t>(chosen("CONVKIT_STEPS", 30));
  const auto module = std::make_shared<RandomModule>(seed, steps);
  statistics.add_module(*module);
  RandomCheck check(module);
  for (const bool onednn : {true, false}) {
    auto failure = check.fails(onednn);
    statistics.add_plans(onednn, check.plans());
    if (!failure) failure = check.fallback();
    if (!failure) continue;
    const std::string key = (onednn ? "oneDNN: " : "LibTorch: ") + failure->key();
    statistics.add_failure(key);
    if (++shown[key] > (is_long_run() ? 30 : 3)) continue;  // making it smaller takes its time
    report(seed, std::make_shared<RandomModule>(seed, steps), onednn, *failure, statistics);
  }
}

bool is_built_with_onednn() {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 4, 3));
  conv->eval();
  const convkit::Compiled fast =
      convkit::compile(conv, torch::randn({1, 3, 8, 8}), {.timing = false});
  return support::plan_of(fast).engine.starts_with("oneDNN");
}

}  // namespace

TEST_CASE("modules made up at random compute the same when compiled", "[compile][random]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  const int64_t first = chosen("CONVKIT_FIRST_SEED", 1);
  const int64_t count = chosen("CONVKIT_MODULES", 200);
  RandomStatistics statistics;
  std::map<std::string, int64_t> shown;
  for (int64_t seed = first; seed < first + count; ++seed) {
    INFO("seed " << seed);  // shown where the process dies
    check_module(static_cast<uint32_t>(seed), statistics, shown);
  }
  if (is_long_run()) statistics.write(std::cout);
  CHECK(statistics.wrong() == 0);
  if (count < 100) return;
  CHECK(statistics.operator_count() >= 120);
  CHECK(statistics.refused() <= 2 * count / 100);  // by two engines
  if (!is_built_with_onednn()) return;
  CHECK(statistics.share_without_onednn() <= 0.02);
  // Without AVX-512 oneDNN 3.2 has no kernel of its own for some shapes, and fixed rules leave these to LibTorch.
  const bool avx512 = at::get_cpu_capability() == "AVX512";
  CHECK(statistics.share_of_macs() >= (avx512 ? 0.95 : 0.85));
}

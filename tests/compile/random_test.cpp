#include "compile/compile_support.h"
#include "compile/random_check.h"
#include "compile/random_module.h"
#include "compile/random_statistics.h"

#include <ATen/Parallel.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace {

using support::RandomCheck;
using support::RandomModule;

/// A number from the environment.
int64_t chosen(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

/// What one module did wrong, as small as it gets.
std::string failure_text(uint32_t seed, const std::shared_ptr<RandomModule>& module, bool onednn,
                         const support::RandomFailure& failure) {
  RandomCheck::shrink(module, onednn, failure);
  const auto now = RandomCheck(module).fails(onednn);
  return c10::str("seed ", seed, onednn ? ", oneDNN, " : ", LibTorch, ", failure.kind,
                  " in the call ", failure.call, ": ", failure.message,
                  "\nthe smallest module that fails so, ",
                  now ? now->call + ": " + now->message : "", "\n", module->text());
}

}  // namespace

TEST_CASE("modules made up at random compute the same when compiled", "[compile][random]") {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  const int64_t first = chosen("CONVKIT_FIRST_SEED", 1);
  const int64_t count = chosen("CONVKIT_MODULES", 200);
  const auto steps = static_cast<std::size_t>(chosen("CONVKIT_STEPS", 30));
  support::RandomStatistics statistics;
  std::map<std::string, int64_t> shown;
  for (int64_t number = first; number < first + count; ++number) {
    const auto seed = static_cast<uint32_t>(number);
    INFO("seed " << seed);  // shown where the process dies
    const auto module = std::make_shared<RandomModule>(seed, steps);
    statistics.add_module(*module);
    RandomCheck check(module);
    for (const bool onednn : {true, false}) {
      const auto failure = check.fails(onednn);
      statistics.add_plans(onednn, check.plans());
      if (!failure) continue;
      const std::string key = (onednn ? "oneDNN: " : "LibTorch: ") + failure->key();
      statistics.add_failure(key);
      if (++shown[key] > 3) continue;  // each is made smaller, which takes its time
      const auto copy = std::make_shared<RandomModule>(seed, steps);
      const std::string text = failure_text(seed, copy, onednn, *failure);
      if (failure->kind == "refused") {
        UNSCOPED_INFO(text);
      } else {
        FAIL_CHECK(text);
      }
    }
  }
  if (std::getenv("CONVKIT_MODULES") != nullptr) statistics.write(std::cout);
  if (count < 100) return;
  CHECK(statistics.operator_count() >= 120);
  CHECK(statistics.refused() <= count / 100);
  CHECK(statistics.share_without_onednn() <= 0.02);
  CHECK(statistics.share_of_macs() >= 0.95);
}

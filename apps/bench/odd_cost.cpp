// Whether a compiled module is ever slower than the plain one, on networks and layers that compile()
// was not made for: odd_cost [PART OF A TITLE]. One thread; plain and compiled take turns, and the
// medians of the processor's time are compared.
#include "odd_workloads.h"

#include <convkit/compile.h>

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace {

using Tensors = convkit::Compiled::Tensors;
using Forward = bench::OddWorkload::Forward;

constexpr double kRoundMilliseconds = 2;    // short ones are called several times in a round
constexpr double kTotalMilliseconds = 800;  // of all rounds of a side
constexpr int kLeastRounds = 7;
constexpr int kMostRounds = 101;

/// Of this process: other processes do not matter.
double milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return 1e3 * static_cast<double>(now.tv_sec) + 1e-6 * static_cast<double>(now.tv_nsec);
}

double time_of(const Forward& forward, const Tensors& inputs, int calls) {
  const double begin = milliseconds();
  for (int i = 0; i < calls; ++i) forward(inputs);
  return (milliseconds() - begin) / calls;
}

double median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2),
                   times.end());
  return times[times.size() / 2];
}

struct Times {
  double plain = 0;
  double compiled = 0;
};

Times measure(const Forward& plain, const Forward& compiled, const Tensors& inputs) {
  // Once to warm up, then to know how long a call takes.
  double longest = 0;
  for (const Forward* side : {&plain, &compiled}) {
    time_of(*side, inputs, 1);
    longest = std::max(longest, time_of(*side, inputs, 1));
  }
  const int calls = static_cast<int>(kRoundMilliseconds / longest) + 1;
  const int rounds = std::clamp(static_cast<int>(kTotalMilliseconds / (calls * longest)),
                                kLeastRounds, kMostRounds);
  std::vector<double> plain_times;
  std::vector<double> compiled_times;
  for (int i = 0; i < rounds; ++i) {
    plain_times.push_back(time_of(plain, inputs, calls));
    compiled_times.push_back(time_of(compiled, inputs, calls));
  }
  return {median(plain_times), median(compiled_times)};
}

bool are_near(const Tensors& found, const Tensors& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double scale = expected[i].abs().max().item<double>();
    if ((found.at(i) - expected[i]).abs().max().item<double>() > 1e-4 * scale) return false;
  }
  return true;
}

/// Prints a line of the table; false if the two compute different things.
bool compare(const bench::OddWorkload& workload) {
  const Tensors inputs = {torch::randn(workload.sizes)};
  const double begin = milliseconds();
  const convkit::Compiled fast =
      convkit::compile(workload.module, workload.forward, {torch::randn(workload.sizes)});
  const double to_compile = milliseconds() - begin;
  if (!are_near(fast(inputs), workload.forward(inputs))) {
    std::fprintf(stderr, "%s computes something else\n", workload.title.c_str());
    return false;
  }
  const auto compiled = [&fast](const Tensors& x) { return fast(x); };
  const Times times = measure(workload.forward, compiled, inputs);
  const double ratio = times.plain / times.compiled;
  std::printf("%-28s %10.3f %10.3f %8.2f %10.0f  %s%s\n", workload.title.c_str(), times.plain,
              times.compiled, ratio, to_compile,
              convkit::explain(fast).plans.front().engine.c_str(), ratio < 0.95 ? ", slower" : "");
  std::fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  at::set_num_threads(1);
  torch::manual_seed(20);
  const torch::NoGradGuard no_grad;
  std::printf("%-28s %10s %10s %8s %10s\n%-28s %10s %10s %8s %10s  %s\n", "", "plain", "compiled",
              "plain /", "to compile", "", "ms", "ms", "compiled", "ms", "engine");
  for (const bench::OddWorkload& workload : bench::odd_workloads(argc > 1 ? argv[1] : "")) {
    if (!compare(workload)) return 1;
  }
}

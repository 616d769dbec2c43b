#pragma once

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <unistd.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

/// What the binaries for Google Benchmark share: interleaved repetitions, and their medians.
namespace bench {

/// Keeps the medians, to divide them at the end.
class Medians : public benchmark::ConsoleReporter {
 public:
  Medians() : ConsoleReporter(isatty(1) != 0 ? OO_ColorTabular : OO_Tabular) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.aggregate_name == "median") of[run.run_name.function_name] = run.GetAdjustedCPUTime();
    }
  }

  /// The median of one over that of the other; 0 where a filter left one out.
  [[nodiscard]] double ratio(const std::string& one, const std::string& other) const {
    const auto numerator = of.find(one);
    const auto denominator = of.find(other);
    if (numerator == of.end() || denominator == of.end()) return 0;
    return numerator->second / denominator->second;
  }

  std::map<std::string, double> of;
};

/// Reads Google Benchmark's flags; false if there are others. One thread, and interleaved, since the
/// machine's speed changes from one second to the next.
inline bool initialize(int argc, char** argv, int repetitions) {
  std::vector<std::string> arguments = {argv[0], "--benchmark_enable_random_interleaving=true",
                                        "--benchmark_repetitions=" + std::to_string(repetitions),
                                        "--benchmark_report_aggregates_only=true",
                                        "--benchmark_min_time=0.01"};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  at::set_num_threads(1);
  return !benchmark::ReportUnrecognizedArguments(count, pointers.data());
}

}  // namespace bench

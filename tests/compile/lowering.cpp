#include "compile/lowering.h"

#include <torch/nn/modules/conv.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <vector>

namespace support {
namespace {

using nlohmann::json;

const std::filesystem::path kTable =
    std::filesystem::path(__FILE__).parent_path() / "lowering.json";

/// Empty where there is no file.
json read(const std::filesystem::path& path) {
  std::ifstream file(path);
  return file ? json::parse(file) : json::object();
}

void write(const std::filesystem::path& path, const std::string& network, const json& found) {
  json table = read(path);
  table[network] = found;
  std::ofstream file(path);
  file << table.dump(1) << '\n';
  REQUIRE(file.good());
}

/// Sorted, without what depends on the neighbours.
std::vector<std::string> lines_of(const json& value) {
  std::vector<std::string> lines;
  std::istringstream text(value.dump(1));
  for (std::string line; std::getline(text, line);) {
    line.erase(0, line.find_first_not_of(' '));
    if (line.ends_with(',')) line.pop_back();
    lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

/// The lines of `one` that the other does not have, each after the sign.
std::string only_in(const json& one, const json& other, const std::string& sign) {
  const std::vector<std::string> lines = lines_of(one);
  const std::vector<std::string> others = lines_of(other);
  std::vector<std::string> found;
  std::set_difference(lines.begin(), lines.end(), others.begin(), others.end(),
                      std::back_inserter(found));
  std::string text;
  for (const std::string& line : found) text += sign + line + '\n';
  return text;
}

std::string step_text(const convkit::StepExplanation& step) {
  return step.what + " (" + step.by + ")";
}

/// "conv2d + relu" of "conv2d 3x3 stride 2 + relu".
std::string without_sizes(const std::string& step) {
  static const std::regex sizes(" (\\d+x\\d+|(stride|groups|dilation|padding) \\S+)");
  return std::regex_replace(step, sizes, "");
}

}  // namespace

bool has_onednn() {
  torch::nn::Conv2d module(torch::nn::Conv2dOptions(8, 8, 3));
  module->eval();
  const auto fast = convkit::compile(module, torch::randn({1, 8, 8, 8}));
  return convkit::explain(fast).plans.front().engine.starts_with("oneDNN");
}

convkit::CompileOptions fixed_rules() {
  return {.timing = false};
}

json steps_of(const convkit::PlanExplanation& plan) {
  json steps = json::array();
  for (const convkit::StepExplanation& step : plan.steps) steps.push_back(step_text(step));
  return steps;
}

json counts_of(const convkit::PlanExplanation& plan) {
  json counts = plan.notes;
  const auto count = [&](const std::string& what, const std::string& by) {
    json& number = counts[without_sizes(what + " (" + by + ")")];
    number = number.is_null() ? 1 : number.get<int64_t>() + 1;
  };
  for (const convkit::StepExplanation& step : plan.steps) {
    std::string what = step.what;
    const std::size_t second = what.find(" + conv2d");
    if (second != std::string::npos) {
      count(what.substr(second + 3), step.by);
      what.erase(second);
    }
    count(what, step.by);
  }
  return counts;
}

std::vector<std::string> stored_names() {
  const json table = read(kTable);
  std::vector<std::string> names;
  for (auto entry = table.begin(); entry != table.end(); ++entry) names.push_back(entry.key());
  return names;
}

void check_stored(const std::string& network, const json& found) {
  if (const char* path = std::getenv("CONVKIT_WRITE_TABLE")) {
    write(path, network, found);
    return;
  }
  const json stored = read(kTable).value(network, json());
  INFO(network << " is lowered otherwise than lowering.json says; CONVKIT_WRITE_TABLE="
               << kTable.string() << " writes it anew\n"
               << only_in(stored, found, "-") << only_in(found, stored, "+"));
  const bool is_as_stored = found == stored;  // whose two sides Catch2 would print whole
  CHECK(is_as_stored);
}

}  // namespace support

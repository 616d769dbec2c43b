// convkit models: the networks that have a name, and where their weights are.
#include "../cli.h"
#include "commands.h"

#include <convkit/models.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace tool {
namespace {

using convkit::models::Description;
using nlohmann::ordered_json;

ordered_json json_of(const Description& network) {
  ordered_json weights = ordered_json::array();
  for (const auto& published : network.weights) {
    weights.push_back({{"name", published.name},
                       {"url", published.url},
                       {"file", published.file()},
                       {"sha256", published.sha256()}});
  }
  return {{"name", network.name},         {"source", network.source},
          {"input", network.input},       {"parameters", network.parameters},
          {"macs", network.macs},         {"tensors", network.tensors},
          {"weights", std::move(weights)}};
}

void print_row(const std::string& name, const std::string& parameters, const std::string& macs,
               const std::string& input) {
  fmt::print("{:34}  {:>11}  {:>15}  {}\n", name, parameters, macs, input);
}

void print_all() {
  print_row("network", "parameters", "MACs", "of an input");
  std::string source;
  for (const std::string& name : convkit::models::names()) {
    const Description network = convkit::models::describe(name);
    if (network.source != source) fmt::print("\n{}\n", network.source);
    source = network.source;
    print_row("  " + name, cli::with_commas(network.parameters), cli::with_commas(network.macs),
              fmt::format("{}", fmt::join(network.input, ",")));
  }
}

void print_one(const Description& network) {
  fmt::print("{} of {}\n", network.name, network.source);
  fmt::print("{} parameters, {} MACs of an input {}\n", cli::with_commas(network.parameters),
             cli::with_commas(network.macs), fmt::join(network.input, ","));
  for (const auto& published : network.weights) {
    fmt::print("\n{}\n  {}\n", published.name, published.url);
    if (!published.sha256().empty()) {
      fmt::print("  its SHA-256 begins with {}\n", published.sha256());
    }
  }
  if (network.weights.empty()) fmt::print("\nno published weights\n");
}

int print(const std::string& name, bool json) {
  if (json) {
    ordered_json result = ordered_json::array();
    for (const std::string& known : convkit::models::names()) {
      if (name.empty() || name == known) {
        result.push_back(json_of(convkit::models::describe(known)));
      }
    }
    if (result.empty()) convkit::models::describe(name);  // throws, with the nearest names
    fmt::print("{}\n", result.dump(2));
  } else if (name.empty()) {
    print_all();
  } else {
    print_one(convkit::models::describe(name));
  }
  return 0;
}

}  // namespace

void add_models(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "models", "List the networks that have a name, or say where the weights of one are");
  command->footer("convkit models resnet18");
  const auto name = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  command->add_option("MODEL", *name, "Only this network, with its published weights");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([=, &chosen] { chosen = [=] { return print(*name, *json); }; });
}

}  // namespace tool

// convkit summary MODEL: the layers of a network, their shapes, parameters and multiplications.
#include "../cli.h"
#include "commands.h"
#include "load.h"

#include <convkit/checkpoint.h>
#include <convkit/models.h>
#include <convkit/summary.h>

#include <fmt/format.h>

namespace tool {
namespace {

struct SummaryFlags {
  NetworkFlags network;
  std::vector<int64_t> input;
  int64_t depth = -1;
  bool json = false;
};

int summarize(const SummaryFlags& options) {
  convkit::models::Network network = make_network(options.network);
  const auto summary = convkit::summarize(*network, torch::zeros(options.input));
  fmt::print("{}{}", options.json ? summary.json(options.depth) : summary.text(options.depth),
             options.json ? "\n" : "");
  return 0;
}

}  // namespace

void add_summary(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "summary", "Show the layers of a network, their shapes, parameters and multiplications");
  command->footer("convkit summary resnet18 --input 1,3,224,224 --depth 2");
  const auto options = std::make_shared<SummaryFlags>();
  add_network_flags(*command, options->network);
  command->add_option("--input", options->input, "The size of its input: N,C,H,W, or N,C,T,H,W")
      ->required()
      ->delimiter(',')
      ->expected(4, 5)
      ->check(CLI::Range(int64_t{1}, int64_t{100000}));
  command->add_option("--depth", options->depth, "How many levels to show")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
  command->add_flag("--json", options->json, "Print it as JSON, with every size");
  command->callback([=, &chosen] { chosen = [=] { return summarize(*options); }; });
}

}  // namespace tool

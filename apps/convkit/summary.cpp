// convkit summary MODEL: the layers of a network, their shapes, parameters and multiplications.
#include "../cli.h"
#include "commands.h"

#include <convkit/checkpoint.h>
#include <convkit/models.h>
#include <convkit/summary.h>

#include <fmt/format.h>

namespace tool {
namespace {

struct SummaryFlags {
  std::string model;
  std::vector<int64_t> input;
  std::string weights;
  int64_t num_classes = 0;
  int64_t depth = -1;
  bool json = false;
};

int summarize(const SummaryFlags& options) {
  convkit::models::CreateOptions create;
  if (options.num_classes != 0) create.num_classes = options.num_classes;
  convkit::models::Network network = convkit::models::create(options.model, create);
  if (!options.weights.empty()) {
    convkit::load_state_dict(*network, convkit::load_checkpoint(options.weights).state);
  }
  const auto summary = convkit::summarize(*network, torch::zeros(options.input));
  fmt::print("{}{}", options.json ? summary.json() : summary.text(options.depth),
             options.json ? "\n" : "");
  return 0;
}

}  // namespace

void add_summary(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "summary", "Show the layers of a network, their shapes, parameters and multiplications");
  command->footer("convkit summary resnet18 --input 1,3,224,224 --depth 2");
  const auto options = std::make_shared<SummaryFlags>();
  command->add_option("MODEL", options->model, "A name that `convkit models` lists")->required();
  command->add_option("--input", options->input, "The size of its input: N,C,H,W")
      ->required()
      ->delimiter(',')
      ->expected(4)
      ->check(CLI::Range(int64_t{1}, int64_t{100000}));
  command->add_option("--weights", options->weights, "A checkpoint that has to fit");
  command->add_option("--num-classes", options->num_classes, "Other than the default")
      ->check(CLI::PositiveNumber);
  command->add_option("--depth", options->depth, "How many levels to show")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--json", options->json, "Print everything as JSON");
  command->callback([=, &chosen] { chosen = [=] { return summarize(*options); }; });
}

}  // namespace tool

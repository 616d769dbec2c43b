// convkit compare MODEL RECORDING: whether a network computes what Python's did.
#include "../cli.h"
#include "commands.h"

#include <convkit/compare.h>
#include <convkit/models.h>

#include <ATen/Parallel.h>

#include <fmt/format.h>

namespace tool {
namespace {

struct CompareFlags {
  std::string model;
  std::string recording;
  int64_t num_classes = 0;
  double tolerance = 0;
  bool all = false;
  bool json = false;
};

int compare(const CompareFlags& options) {
  const convkit::Recording recording = convkit::load_recording(options.recording);
  at::set_num_threads(static_cast<int>(recording.threads));
  torch::manual_seed(static_cast<uint64_t>(recording.seed));
  convkit::models::CreateOptions create;
  if (options.num_classes != 0) create.num_classes = options.num_classes;
  convkit::models::Network network = convkit::models::create(options.model, create);
  const auto comparison = convkit::compare(*network, recording, {.tolerance = options.tolerance});
  fmt::print("{}{}", options.json ? comparison.json() : comparison.text(options.all),
             options.json ? "\n" : "");
  return comparison.equal ? 0 : 1;
}

}  // namespace

void add_compare(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "compare",
      "Compare a network with what record.py recorded of Python's, layer by layer, bit for bit.\n"
      "Exit code: 0 if all is equal, 1 if something differs");
  command->footer("convkit compare resnet18 resnet18.safetensors");
  const auto options = std::make_shared<CompareFlags>();
  command->add_option("MODEL", options->model, "A name that `convkit models` lists")->required();
  command->add_option("RECORDING", options->recording, "A file of record.py")->required();
  command
      ->add_option("--num-classes", options->num_classes,
                   "Of the network, where it was recorded with another number than the default")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--tolerance", options->tolerance,
                   "Let numbers differ by so much, relative to the largest of their tensor")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--all", options->all, "Show the rows that are equal, too");
  command->add_flag("--json", options->json, "Print everything as JSON");
  command->callback([=, &chosen] { chosen = [=] { return compare(*options); }; });
}

}  // namespace tool

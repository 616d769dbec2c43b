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
  std::string model;
  std::vector<int64_t> input;
  std::string weights;
  std::string at;
  int64_t num_classes = 0;
  int64_t depth = -1;
  bool json = false;
};

/// Of a checkpoint, or those that a recording was made with.
void load_weights(torch::nn::Module& network, const std::string& file, const std::string& at) {
  convkit::Checkpoint checkpoint = load(file, {.at = at});
  if (checkpoint.metadata.contains("recording")) {
    checkpoint.state = convkit::with_prefix_removed(checkpoint.state, "state_dict/");
  }
  try {
    convkit::load_state_dict(network, checkpoint.state);
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, "--weights ", cli::printable(file), ": ", error.what_without_backtrace());
  }
}

int summarize(const SummaryFlags& options) {
  convkit::models::CreateOptions create;
  if (options.num_classes != 0) create.num_classes = options.num_classes;
  convkit::models::Network network = convkit::models::create(options.model, create);
  if (!options.weights.empty()) load_weights(*network, options.weights, options.at);
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
  command->add_option("MODEL", options->model, "A name that `convkit models` lists")->required();
  command->add_option("--input", options->input, "The size of its input: N,C,H,W, or N,C,T,H,W")
      ->required()
      ->delimiter(',')
      ->expected(4, 5)
      ->check(CLI::Range(int64_t{1}, int64_t{100000}));
  CLI::Option* weights = command->add_option("--weights", options->weights,
                                             "A checkpoint that has to fit, or a recording");
  command
      ->add_option("--at", options->at, "Take this member of a nested checkpoint, as in ema.model")
      ->needs(weights);
  command->add_option("--num-classes", options->num_classes, "Other than the default")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  command->add_option("--depth", options->depth, "How many levels to show")
      ->check(CLI::Range(int64_t{0}, int64_t{1'000'000}));
  command->add_flag("--json", options->json, "Print it as JSON, with every size");
  command->callback([=, &chosen] { chosen = [=] { return summarize(*options); }; });
}

}  // namespace tool

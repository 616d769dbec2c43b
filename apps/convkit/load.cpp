#include "load.h"

#include "../cli.h"

#include <ATen/Context.h>

#include <string_view>

namespace tool {

convkit::Checkpoint load(const std::string& file, const convkit::LoadCheckpointOptions& options) {
  try {
    return convkit::load_checkpoint(file, options);
  } catch (const convkit::CheckpointError& error) {
    if (error.candidates().empty()) throw;
    const std::string text = error.what_without_backtrace();
    TORCH_CHECK(false, text.substr(0, text.rfind(": choose by ")), ": choose by --at ",
                cli::printable(error.candidates().front().at));
  } catch (const c10::ValueError& error) {
    std::string text = error.what_without_backtrace();
    for (const std::string_view words :
         {": expected .at", ": expected names that begin with .at"}) {
      const std::size_t found = text.find(words);
      if (found != std::string::npos) text.replace(found + words.size() - 3, 3, "--at");
    }
    TORCH_CHECK(false, text);
  }
}

void add_network_flags(CLI::App& command, NetworkFlags& flags) {
  command.add_option("MODEL", flags.model, "A name that `convkit models` lists")->required();
  CLI::Option* weights = command.add_option("--weights", flags.weights,
                                            "A checkpoint that has to fit, or a recording");
  command.add_option("--at", flags.at, "Take this member of a nested checkpoint, as in ema.model")
      ->needs(weights);
  command.add_option("--num-classes", flags.num_classes, "Other than the default")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
}

convkit::models::Network make_network(const NetworkFlags& flags) {
  convkit::models::CreateOptions create;
  if (flags.num_classes != 0) create.num_classes = flags.num_classes;
  at::manual_seed(0);  // the same fresh weights each time
  convkit::models::Network network = convkit::models::create(flags.model, create);
  if (flags.weights.empty()) return network;
  convkit::Checkpoint checkpoint = load(flags.weights, {.at = flags.at});
  if (checkpoint.metadata.contains("recording")) {
    checkpoint.state = convkit::with_prefix_removed(checkpoint.state, "state_dict/");
  }
  try {
    convkit::load_state_dict(*network, checkpoint.state);
  } catch (const c10::Error& error) {
    TORCH_CHECK(false, "--weights ", cli::printable(flags.weights), ": ",
                error.what_without_backtrace());
  }
  return network;
}

}  // namespace tool

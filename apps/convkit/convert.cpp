// convkit convert IN OUT: a checkpoint in another format, or under other names.
#include "../cli.h"
#include "commands.h"

#include <convkit/checkpoint.h>

#include <fmt/format.h>

namespace tool {
namespace {

using convkit::Checkpoint;
using convkit::StateDict;

StateDict without_prefix(const StateDict& state, const std::string& prefix) {
  StateDict result;
  std::size_t stripped = 0;
  for (const auto& entry : state) {
    const bool has_prefix = entry.key().starts_with(prefix);
    const std::string name = has_prefix ? entry.key().substr(prefix.size()) : entry.key();
    TORCH_CHECK_VALUE(!name.empty() && !result.contains(name), "--strip-prefix ", prefix,
                      ": expected different names, but \"", cli::printable(entry.key()),
                      "\" becomes \"", cli::printable(name), "\", ",
                      name.empty() ? "which is none" : "which is there already");
    result.insert(name, entry.value());
    stripped += has_prefix ? 1 : 0;
  }
  TORCH_CHECK_VALUE(
      stripped > 0, "--strip-prefix ", prefix, ": expected names that begin with it, got ",
      state.is_empty() ? "no tensors"
                       : "\"" + cli::printable(state.front().key()) + "\" and the like");
  if (stripped < state.size()) {
    fmt::print(stderr, "convkit: kept the names of {} tensors, which do not begin with {}\n",
               cli::with_commas(static_cast<int64_t>(state.size() - stripped)), prefix);
  }
  return result;
}

void say_what_is_shared(const StateDict& state) {
  for (const auto& group : convkit::shared_tensors(state)) {
    std::string names;
    for (const std::string& name : group) {
      names += (names.empty() ? "" : ", ") + cli::printable(name);
    }
    fmt::print(stderr, "convkit: these share memory, and each was written whole: {}\n", names);
  }
}

}  // namespace

void add_convert(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("convert",
                                         "Write the tensors and metadata of a checkpoint into a "
                                         "new one, which replaces OUT when whole");
  command->footer("convkit convert old.safetensors new.safetensors --strip-prefix module.");
  const auto in = std::make_shared<std::string>();
  const auto out = std::make_shared<std::string>();
  const auto prefix = std::make_shared<std::string>();
  command->add_option("IN", *in, "The checkpoint to read")->required();
  command->add_option("OUT", *out, "The one to write, named .safetensors")->required();
  command->add_option("--strip-prefix", *prefix, "Remove this from the beginning of names");
  command->callback([=, &chosen] {
    chosen = [=] {
      Checkpoint checkpoint = convkit::load_checkpoint(*in);
      if (!prefix->empty()) checkpoint.state = without_prefix(checkpoint.state, *prefix);
      convkit::save_checkpoint(*out, checkpoint.state,
                               {.metadata = checkpoint.metadata, .copy_shared = true});
      say_what_is_shared(checkpoint.state);
      return 0;
    };
  });
}

}  // namespace tool

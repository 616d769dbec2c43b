// convkit convert IN OUT: a checkpoint in another format, or under other names.
#include "../cli.h"
#include "commands.h"
#include "load.h"

#include <convkit/checkpoint.h>

#include <fmt/format.h>

namespace tool {
namespace {

using convkit::Checkpoint;
using convkit::StateDict;

struct Options {
  std::string in;
  std::string out;
  std::string at;
  std::string prefix;
  uint64_t max_shard_size = 0;
};

StateDict without_prefix(const StateDict& state, const std::string& prefix) {
  StateDict result;
  std::size_t stripped = 0;
  for (const auto& entry : state) {
    const bool has_prefix = entry.key().starts_with(prefix);
    const std::string name = has_prefix ? entry.key().substr(prefix.size()) : entry.key();
    TORCH_CHECK_VALUE(!name.empty() && !result.contains(name), "--strip-prefix ", prefix,
                      ": expected different names, but ", cli::printable(entry.key()), " becomes ",
                      cli::printable(name), name.empty() ? ", which is none" : ", which is there");
    result.insert(name, entry.value());
    stripped += has_prefix ? 1 : 0;
  }
  TORCH_CHECK_VALUE(stripped > 0, "--strip-prefix ", prefix,
                    ": expected names that begin with it, got ",
                    state.is_empty() ? "no tensors" : cli::printable(state.front().key()),
                    state.size() > 1 ? " and others" : "");
  if (stripped < state.size()) {
    fmt::print(stderr, "convkit: kept the names of {}, which do not begin with {}\n",
               cli::counted(static_cast<int64_t>(state.size() - stripped), "tensor"), prefix);
  }
  return result;
}

void say_what_is_shared(const StateDict& state) {
  for (const auto& group : convkit::shared_tensors(state)) {
    std::string names;
    for (const std::string& name : group) {
      names += (names.empty() ? "" : ", ") + cli::printable(name);
    }
    fmt::print(stderr, "convkit: these share memory, and each is written whole: {}\n", names);
  }
}

int convert(const Options& options) {
  Checkpoint checkpoint = load(options.in, {.at = options.at});
  if (options.in.ends_with(".index.json")) checkpoint.metadata.erase("total_size");
  if (!options.prefix.empty()) {
    checkpoint.state = without_prefix(checkpoint.state, options.prefix);
  }
  if (options.out.ends_with(".safetensors")) {
    say_what_is_shared(checkpoint.state);
    // Some readers of such files ask which library the tensors are from.
    if (!options.in.ends_with(".safetensors")) checkpoint.metadata.emplace("format", "pt");
  } else if ((options.out.ends_with(".pt") || options.out.ends_with(".pth")) &&
             !checkpoint.metadata.empty()) {
    fmt::print(stderr, "convkit: left out the metadata, which {} cannot hold\n",
               cli::printable(options.out));
    checkpoint.metadata.clear();
  }
  convkit::save_checkpoint(options.out, checkpoint.state,
                           {.metadata = checkpoint.metadata,
                            .copy_shared = true,
                            .max_shard_size = options.max_shard_size});
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "convert",
      "Write the tensors of a checkpoint into a new one, of the format that its name ends with");
  command->footer("convkit convert old.pt new.safetensors --strip-prefix module.");
  const auto options = std::make_shared<Options>();
  command->add_option("IN", options->in, "The checkpoint to read")->required();
  command
      ->add_option("OUT", options->out,
                   "The one to write: .safetensors, .pt or .pth; replaced when whole")
      ->required();
  command->add_option("--at", options->at,
                      "Take this member of a nested checkpoint, as in ema.model");
  command->add_option("--strip-prefix", options->prefix, "Remove this from the beginning of names")
      ->check([](const std::string& text) { return text.empty() ? "expected a prefix" : ""; });
  command
      ->add_option(
          "--max-shard-size", options->max_shard_size,
          "Split a .safetensors file into ones of so many bytes, or as in 5GB, and an index")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->check(CLI::PositiveNumber);
  command->callback([=, &chosen] { chosen = [=] { return convert(*options); }; });
}

}  // namespace tool

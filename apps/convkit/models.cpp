// convkit models: the networks that have a name.
#include "../cli.h"
#include "commands.h"

#include <convkit/models.h>

#include <fmt/format.h>

namespace tool {

void add_models(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("models", "Lists the networks, a name a line.");
  command->footer("convkit models");
  command->callback([&chosen] {
    chosen = [] {
      for (const std::string& name : convkit::models::names()) fmt::print("{}\n", name);
      return 0;
    };
  });
}

}  // namespace tool

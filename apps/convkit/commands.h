#pragma once

#include <functional>

namespace CLI {
class App;
}

/// The commands of the tool. Each adds its own options; parsing the one that was asked for sets
/// `chosen`, which returns the exit code.
namespace tool {

using Command = std::function<int()>;

void add_inspect(CLI::App& app, Command& chosen);
void add_convert(CLI::App& app, Command& chosen);
void add_draw(CLI::App& app, Command& chosen);
void add_draw_network(CLI::App& draw, Command& chosen);
void add_draw_field(CLI::App& draw, Command& chosen);
void add_look(CLI::App& app, Command& chosen);
void add_models(CLI::App& app, Command& chosen);
void add_compare(CLI::App& app, Command& chosen);
void add_summary(CLI::App& app, Command& chosen);

}  // namespace tool

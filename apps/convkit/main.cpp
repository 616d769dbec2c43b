// The command-line tool: looks into checkpoints, converts them, lists the networks, compares them
// with Python's, summarises and draws them, and draws convolutions.
#include "../cli.h"
#include "commands.h"

namespace {

/// A help that leads with an example: CLI11's footer, at the top.
class ExampleFirst : public CLI::Formatter {
 public:
  std::string make_description(const CLI::App* app) const override {
    return "Example: " + app->get_footer() + "\n\n" + Formatter::make_description(app) + "\n";
  }
  std::string make_footer(const CLI::App*) const override { return ""; }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Looks into checkpoints of PyTorch, converts them, compares networks with Python's, "
      "summarises and\ndraws them, and draws convolutions. Results go to the standard output, "
      "messages to the standard error. Exit\ncode: 0; 1 where compare finds a difference; 2 for a "
      "wrong command line or a bad file.",
      "convkit");
  app.footer("convkit inspect weights.safetensors");
  app.formatter(std::make_shared<ExampleFirst>());
  app.require_subcommand(1);
  tool::Command chosen;
  tool::add_inspect(app, chosen);
  tool::add_convert(app, chosen);
  tool::add_draw(app, chosen);
  tool::add_models(app, chosen);
  tool::add_compare(app, chosen);
  tool::add_summary(app, chosen);
  tool::add_look(app, chosen);
  return cli::run(app, argc, argv, [&] { return chosen(); });
}
